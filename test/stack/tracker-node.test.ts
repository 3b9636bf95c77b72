import t from 'tap';
import { IpfsWorld } from '../../src/ipfs/memory/ipfs-world.ts';
import { type MemoryConnector, memoryConnector } from '../../src/ipfs/memory/memory-connector.ts';
import { MemoryDisk } from '../../src/ipfs/memory/memory-disk.ts';
import { hex } from '../../src/model/bytes.ts';
import { toV0 } from '../../src/model/cid.ts';
import { dag } from '../suites/dags.ts';
import { fc } from '../support/fast-check.ts';
import type { VirtualTime } from '../support/virtual-time.ts';
import { type NodeProcess, other, self, TrackerWorld } from '../unit/tracker/tracker-world.ts';

/** As the property test of the tracker alone, with a node that holds blocks: fetched, walked, collected. */

const dags = Array.from({ length: 4 }, (_, i) => dag(`wish ${i}`));
const shared = dag('wish 0').root;
const namespaces = ['default', 'n'];

type Step =
  | { kind: 'pin'; wish: number; isV0: boolean; namespace: number; isDirect: boolean; where: 'all' | 'self' | 'other' }
  | { kind: 'unpin'; wish: number; isV0: boolean; namespace: number }
  | { kind: 'node'; isDown: boolean; isSourceAway: boolean; sendsLeft: number }
  | { kind: 'pass'; ms: number }
  /** The feed of what was changed before the tracker starts again is gone by then. */
  | { kind: 'crash'; isWalked: boolean }
  | { kind: 'restart' | 'collect' };

const wish = fc.nat({ max: dags.length - 1 });
const namespace = fc.nat({ max: namespaces.length - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('pin' as const),
      wish,
      isV0: fc.boolean(),
      namespace,
      isDirect: fc.boolean(),
      where: fc.constantFrom('all' as const, 'self' as const, 'other' as const),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('unpin' as const), wish, isV0: fc.boolean(), namespace }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('node' as const),
      isDown: fc.constantFrom(false, false, true),
      isSourceAway: fc.boolean(),
      sendsLeft: fc.constantFrom(0, 3, 1_000),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(0, 1, 3, 10, 120, 2_000) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('crash' as const), isWalked: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('restart' as const, 'collect' as const) }) },
);

/** The node of the tracker, whose disk outlives its processes, and one that has everything. */
class Nodes {
  readonly disk = new MemoryDisk();
  source: MemoryConnector | undefined;
  current: MemoryConnector | undefined;
  isDown = false;
  #world: IpfsWorld | undefined;

  process(time: VirtualTime): NodeProcess {
    this.#world ??= new IpfsWorld(time, { latencyMs: 2 });
    const world = this.#world;
    const node = memoryConnector({ peerId: 'own', world, disk: this.disk }, time);
    this.current = node;
    const started = node.start();
    let isKilled = false;
    const up = async () => {
      await started;
      if (isKilled) throw new Error('killed');
      node.faults.isDown = this.isDown;
      return node;
    };
    const sources = ['/memory/source/p2p/source'];
    return {
      kill() {
        isKilled = true;
        void node.stop();
      },
      id: async (options) => (await up()).id(options),
      pin: async (asked, options) => (await up()).pin({ ...asked, sources }, options),
      unpin: async (cid, options) => (await up()).unpin(cid, options),
      pinned: async (cid, options) => (await up()).pinned(cid, options),
      async *list(options) {
        yield* (await up()).list(options);
      },
    };
  }

  async startSource(time: VirtualTime): Promise<void> {
    this.source = memoryConnector({ peerId: 'source', world: this.#world as IpfsWorld }, time);
    await this.source.start();
    const { signal } = new AbortController();
    await this.source.putBlocks(
      dags.flatMap(({ blocks }) => blocks),
      { signal },
    );
  }
}

t.test('whatever happens, the node holds in the end all blocks of what is pinned, and no others', async (t) => {
  let settled = 0;
  let walked = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), fc.nat(), async (steps, seed) => {
      const nodes = new Nodes();
      const world = await TrackerWorld.open({
        seed,
        isManual: true,
        options: { retryBaseMs: 200, retryMaxMs: 1000, unpinDelayMs: 0, pinTimeoutMs: 500 },
        node: (time) => nodes.process(time),
      });
      await nodes.startSource(world.time);
      await world.tracker.start();
      for (const one of steps) {
        await take(world, nodes, one);
        if (one.kind === 'crash' && one.isWalked) walked++;
      }
      nodes.isDown = false;
      Object.assign(nodes.source!.faults, { isCutOff: false, sendsLeft: Number.POSITIVE_INFINITY });
      world.flushIntervalMs = 20;
      for (let i = 0; i < 300 && (await problem(world, nodes)) !== undefined; i++) await world.time.advance(100);
      await world.time.advance(2_000);
      const wrong = (await problem(world, nodes)) ?? (await foreignBlocks(world, nodes));
      if (wrong !== undefined) throw new Error(wrong);
      await world.end();
      settled++;
    }),
    { numRuns: Number(process.env.TRACKER_RUNS ?? 50) },
  );
  t.ok(settled > 0);
  t.ok(walked > 0, `${walked} walks`);
});

async function take(world: TrackerWorld, nodes: Nodes, one: Step): Promise<void> {
  if (one.kind === 'pin' || one.kind === 'unpin') {
    const v1 = dags[one.wish]!.root.cid;
    const cids = [one.isV0 ? (toV0(v1) as Uint8Array) : v1];
    const name = namespaces[one.namespace] as string;
    if (one.kind === 'unpin') return world.unpin(cids, name);
    const allocations = one.where === 'all' ? {} : { allocations: [one.where === 'self' ? self : other] };
    return world.pin(cids, { namespace: name, mode: one.isDirect ? 'direct' : 'recursive', ...allocations });
  }
  if (one.kind === 'node') {
    nodes.isDown = one.isDown;
    Object.assign(nodes.source!.faults, { isCutOff: one.isSourceAway, sendsLeft: one.sendsLeft });
  }
  if (one.kind === 'pass') await world.time.advance(one.ms);
  if (one.kind === 'crash') {
    const changed = async () => {
      if (!one.isWalked) return;
      const { pinset } = world.pinsets;
      await pinset.start();
      await world.pin([dags[1]!.root.cid], { allocations: [self] });
      await world.unpin([shared.cid]);
      world.flushIntervalMs = 60_000;
      await world.time.advance(3 * 3_600_000);
      await world.pin([dags[2]!.root.cid], { allocations: [self] });
      await world.time.advance(3 * 3_600_000);
      world.flushIntervalMs = 3;
      if (pinset.feed.read(1, 1) !== 'gone') throw new Error('the feed is still there');
    };
    await world.crash({ feedAgeMs: 1 }, changed);
  }
  if (one.kind === 'restart') await world.restart();
  if (one.kind === 'collect') {
    const collecting = collect(nodes);
    // A collection ends early when the node is down, or killed.
    collecting.catch(() => {});
    await world.time.advance(1);
  }
}

async function collect(nodes: Nodes): Promise<void> {
  const { signal } = new AbortController();
  nodes.current!.faults.isDown = nodes.isDown;
  for await (const _ of nodes.current!.collectGarbage({ signal }));
}

async function problem(world: TrackerWorld, { disk }: Nodes): Promise<string | undefined> {
  for (const [i, { root, blocks }] of dags.entries()) {
    const { mode, status } = expected(world, root.cid);
    const said = world.status(root.cid).status;
    const held = disk.records.get(root.cid) ?? 'none';
    if (held !== mode || said !== status) return `wish ${i}: held ${held} for ${mode}, said ${said} for ${status}`;
    const needed = { recursive: blocks, direct: [root], none: [] }[mode];
    for (const { link } of needed) {
      if (!(await disk.blocks.has(link.multihash.bytes))) return `wish ${i} is ${said}, and ${link} is missing`;
    }
  }
  return undefined;
}

async function foreignBlocks(world: TrackerWorld, nodes: Nodes): Promise<string | undefined> {
  const collecting = collect(nodes);
  await world.time.advance(100);
  await collecting;
  const needed = new Set<string>();
  for (const { root, blocks } of dags) {
    const { mode } = expected(world, root.cid);
    const kept = { recursive: blocks, direct: [root], none: [] }[mode];
    for (const { link } of kept) needed.add(hex(link.multihash.bytes));
  }
  for await (const multihash of nodes.disk.blocks.list()) {
    if (!needed.delete(hex(multihash))) return `${hex(multihash)} is held for nothing`;
  }
  return needed.size === 0 ? undefined : `the collection took ${needed.size} blocks of what is pinned`;
}

function expected(world: TrackerWorld, wishCid: Uint8Array): { mode: 'recursive' | 'direct' | 'none'; status: string } {
  const claims = world.pinsets.pinset.claims(wishCid);
  const here = claims.filter(({ pin }) => pin.replicationMin === -1 || pin.allocations.includes(self));
  if (here.length === 0) return { mode: 'none', status: claims.length === 0 ? 'unpinned' : 'remote' };
  return { mode: here.some(({ pin }) => pin.mode === 'recursive') ? 'recursive' : 'direct', status: 'pinned' };
}
