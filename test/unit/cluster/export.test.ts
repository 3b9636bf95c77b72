import { setImmediate } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { CarReader } from '@ipld/car';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import t, { type Test } from 'tap';
import { GetBlocksRequestSchema, type GetBlocksResponse } from '../../../gen/pinfold/peer/v1/blocks_pb.ts';
import {
  BLOCKS_ASKED_MAX,
  BLOCKS_READ_AHEAD_MAX,
  EXPORTS_MAX,
  READ_AHEAD_BLOCKS_MAX,
  READ_AHEAD_BYTES_MAX,
  SOURCE_FAILURES_MAX,
  SOURCE_IDLE_MS,
  SOURCE_STALL_MS,
} from '../../../src/cluster/export/constants.ts';
import { type ExportingNeeds, type ExportQuery, exporting } from '../../../src/cluster/export/exporting.ts';
import { getBlocksHandlers } from '../../../src/cluster/export/get-blocks-handler.ts';
import { PeerBlocks } from '../../../src/cluster/export/peer-blocks.ts';
import { ReadAhead } from '../../../src/cluster/export/read-ahead.ts';
import { ConnectorError } from '../../../src/ipfs/connector.ts';
import { formatCid } from '../../../src/model/cid.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import type { Member } from '../../../src/monitor/monitor.ts';
import type { StoredPin } from '../../../src/pinset/pinset.ts';
import { raceSignal } from '../../../src/runtime/abort.ts';
import { block, cborNode, dag, leaf, RAW, type TestBlock, type TestDag, wideDag } from '../../suites/dags.ts';
import { virtualTime } from '../../support/virtual-time.ts';
import { callContext } from './world.ts';

type GetBlock = (cid: Uint8Array, signal: AbortSignal) => Promise<Uint8Array | undefined>;

const holding = (blocks: readonly TestBlock[]): GetBlock => {
  const known = new Map(blocks.map(({ cid, bytes }) => [formatCid(cid), bytes]));
  return async (cid) => known.get(formatCid(cid));
};

/** Peers, each with what its node gives out. The first one exports; `pin` says of whose. */
function cluster(nodes: Record<string, GetBlock>, pin: { allocations?: string[] } = {}) {
  const time = virtualTime();
  const [self = '', ...others] = Object.keys(nodes);
  /** CIDs asked of each, and calls under way. */
  const asked: Record<string, string[]> = Object.fromEntries(Object.keys(nodes).map((peerId) => [peerId, []]));
  const calls = { begun: 0, open: 0 };
  const connectorOf = (peerId: string) => ({
    getBlock(cid: Uint8Array, { signal }: { signal: AbortSignal }) {
      asked[peerId]?.push(formatCid(cid));
      return nodes[peerId]!(cid, signal);
    },
  });
  const rpc: ExportingNeeds['network']['rpc'] = {
    serve() {},
    async *call(to, method, requests, { signal }) {
      if (method !== 'getBlocks') throw new Error(method);
      calls.begun++;
      calls.open++;
      try {
        const handler = getBlocksHandlers({ connector: connectorOf(to) }).getBlocks;
        yield* handler(requests as never, { peerId: self, signal }) as AsyncIterable<never>;
      } finally {
        calls.open--;
      }
    },
  };
  const member = (peerId: string) => ({ peerId, name: `name of ${peerId}`, health: 'up' }) as unknown as Member;
  const { allocations = others } = pin;
  const needs: ExportingNeeds = {
    ...time,
    peerId: self,
    connector: connectorOf(self),
    pins: {
      get(cid, namespace) {
        if (namespace === 'empty') throw new PinfoldError('PIN_NOT_FOUND', formatCid(cid));
        return { pin: { cid, allocations, replicationMin: allocations.length === 0 ? -1 : 1 } } as unknown as StoredPin;
      },
    },
    monitor: {
      members: () => [self, ...others].map(member),
      member: (peerId) => (peerId === self || others.includes(peerId) ? member(peerId) : undefined),
    },
    network: { connected: () => others, rpc },
  };
  const service = exporting(needs);
  const run = (root: TestBlock, query: Partial<ExportQuery> = {}, call = callContext()) =>
    service.export({ namespace: 'default', path: formatCid(root.cid), format: 'car', ...query }, call);
  const car = async (root: TestBlock, query: Partial<ExportQuery> = {}) => {
    const parts: Uint8Array[] = [];
    for await (const event of run(root, query)) if (event.kind === 'data') parts.push(event.bytes);
    return Buffer.concat(parts);
  };
  return { time, asked, calls, run, car, needs };
}

async function blocksIn(car: Uint8Array): Promise<string[]> {
  const found: string[] = [];
  for await (const { cid } of (await CarReader.fromBytes(car)).blocks()) found.push(cid.toString());
  return found;
}

/** Depth first, each once. */
function inOrder(t: Test, { root, blocks }: TestDag, linksOf: (of: TestBlock) => TestBlock[]): string[] {
  const seen = new Set<string>();
  const visit = (each: TestBlock) => {
    if (seen.has(each.link.toString())) return;
    seen.add(each.link.toString());
    for (const below of linksOf(each)) visit(below);
  };
  visit(root);
  t.equal(seen.size, blocks.length);
  return [...seen];
}

t.test('a CAR is depth first, each block once, from the node here or from others', async (t) => {
  const one = dag('one');
  const [a, b, c, d, e, pb, cbor, json, root] = one.blocks as [TestBlock, ...TestBlock[]] as TestBlock[];
  const below = new Map([
    [root, [pb, cbor, json]],
    [pb, [a, b]],
    [cbor, [c, a]],
    [json, [d, e]],
  ] as [TestBlock, TestBlock[]][]);
  const order = inOrder(t, one, (each) => below.get(each) ?? []);
  const nodes: Record<string, GetBlock>[] = [
    { here: holding(one.blocks), other: holding([]) },
    { here: holding([]), other: holding(one.blocks) },
    { here: holding(one.blocks.slice(0, 3)), x: holding(one.blocks.slice(2, 6)), y: holding(one.blocks.slice(5)) },
  ];
  for (const each of nodes) {
    const { car, calls } = cluster(each);
    const bytes = await car(one.root);
    t.same(await blocksIn(bytes), order);
    t.same((await (await CarReader.fromBytes(bytes)).getRoots()).map(String), [one.root.link.toString()]);
    while (calls.open > 0) await setImmediate();
  }
});

t.test('identity CIDs are left out, and what they link to is not', async (t) => {
  const inside = leaf('inside');
  const { bytes } = cborNode([inside]);
  const link = CID.createV1(0x71, createDigest(0x00, bytes));
  const root = cborNode([{ cid: link.bytes, bytes, link }]);
  const { car } = cluster({ here: holding([]), other: holding([root, inside]) });
  t.same(await blocksIn(await car(root)), [root.link.toString(), inside.link.toString()]);
});

t.test('one call a source, which is asked ahead; the order stays', async (t) => {
  const wide = wideDag('wide', 300, 40);
  let waiting = 0;
  let mostWaiting = 0;
  const known = holding(wide.blocks);
  const { car, calls, asked } = cluster({
    here: holding([]),
    other: async (cid) => {
      mostWaiting = Math.max(mostWaiting, ++waiting);
      await setImmediate();
      waiting--;
      return known(cid, new AbortController().signal);
    },
  });
  t.equal((await blocksIn(await car(wide.root))).length, 301);
  t.equal(calls.begun, 1);
  t.equal(asked.other?.length, 301, 'each once');
  t.ok(mostWaiting > 1 && mostWaiting <= BLOCKS_READ_AHEAD_MAX + 2, `${mostWaiting} read at once by the callee`);
});

t.test('a source that fails on the way: the next one goes on, and the first is not needed again', async (t) => {
  const wide = wideDag('fails', 100, 40);
  const known = holding(wide.blocks);
  let left = 30;
  const { car, asked, calls } = cluster({
    here: holding([]),
    x: async (cid, signal) => {
      if (left-- <= 0) throw new ConnectorError('UNREACHABLE', 'gone');
      return known(cid, signal);
    },
    y: known,
  });
  t.equal((await blocksIn(await car(wide.root))).length, 101);
  t.ok((asked.y?.length ?? 0) >= 71);
  t.ok(calls.begun <= 3, `${calls.begun} calls`);
});

t.test('a source that gives out other bytes is not believed again', async (t) => {
  const wide = wideDag('lies', 50, 40);
  const { car, asked } = cluster({
    here: holding([]),
    liar: async () => Buffer.from('something else'),
    y: holding(wide.blocks),
  });
  t.equal((await blocksIn(await car(wide.root))).length, 51);
  t.equal(asked.liar?.length, 1);
  const damagedHere = cluster({ here: async () => Buffer.from('rot'), y: holding(wide.blocks) });
  t.equal((await blocksIn(await damagedHere.car(wide.root))).length, 51, 'nor is the node here');
});

t.test('a source that says nothing is passed over', async (t) => {
  const text = leaf('slow');
  const { car, time, calls } = cluster({
    here: holding([]),
    silent: (_, signal) => raceSignal(new Promise<never>(() => {}), signal),
    y: holding([text]),
  });
  const got = car(text);
  while (calls.open === 0) await setImmediate();
  await time.advance(SOURCE_STALL_MS);
  t.same(await blocksIn(await got), [text.link.toString()]);
});

t.test('nobody has it: which block, and who was asked', async (t) => {
  const one = dag('missing');
  const [missing] = one.blocks as [TestBlock];
  const { run, time } = cluster({
    here: holding([]),
    x: holding(one.blocks.slice(1)),
    y: async () => {
      throw new ConnectorError('UNREACHABLE', 'its node is down');
    },
  });
  let failure: unknown;
  const reading = (async () => {
    for await (const _ of run(one.root));
  })().catch((error) => {
    failure = error;
  });
  while (failure === undefined) await time.advance(100);
  await reading;
  t.match(failure, { code: 'IPFS_FAILED' });
  const { message } = failure as Error;
  t.match(message, formatCid(missing.cid));
  t.match(
    message,
    /the IPFS node here does not have it; name of x \(x\) does not have it; name of y \(y\) its node is down/,
  );
});

t.test('who is asked: the allocations; all members of a pin that goes everywhere', async (t) => {
  const text = leaf('where');
  const nodes = { here: holding([]), x: holding([]), y: holding([text]), z: holding([text]) };
  const some = cluster(nodes, { allocations: ['here', 'x', 'z'] });
  await some.car(text);
  t.same([some.asked.x?.length, some.asked.y?.length, some.asked.z?.length], [1, 0, 1]);
  const all = cluster(nodes, { allocations: [] });
  await all.car(text);
  t.same([all.asked.x?.length, all.asked.y?.length, all.asked.z?.length], [1, 1, 0]);
});

t.test('what is not pinned, or no path, is refused before anything is read', async (t) => {
  const text = leaf('refused');
  const { run, asked } = cluster({ here: holding([text]) });
  const refused = async (query: Partial<ExportQuery>) => {
    for await (const _ of run(text, query));
  };
  await t.rejects(refused({ namespace: 'empty' }), { code: 'PIN_NOT_FOUND' });
  await t.rejects(refused({ path: '/ipns/example.org/a' }), { code: 'INVALID_PATH' });
  await t.rejects(refused({ path: 'x/../y' }), { code: 'INVALID_PATH' });
  await t.rejects(refused({ path: 'nonsense' }), { code: 'INVALID_CID' });
  t.same(asked.here, []);
  const value = cborNode([text]);
  const inside = cluster({ here: holding([value]) });
  await t.rejects(
    async () => {
      for await (const _ of inside.run(value, { path: `${formatCid(value.cid)}/nested/0` }));
    },
    { code: 'INVALID_PATH', message: /inside a block/ },
  );
});

t.test(
  'so many at once; a reader that does not read holds its own only, and one that leaves ends its calls',
  async (t) => {
    const wide = wideDag('held', 500, 20_000);
    const { run, asked, calls } = cluster({ here: holding([]), other: holding(wide.blocks) });
    const readers = Array.from({ length: EXPORTS_MAX }, () => run(wide.root)[Symbol.asyncIterator]());
    await Promise.all(readers.map((reader) => reader.next()));
    await t.rejects(run(wide.root)[Symbol.asyncIterator]().next(), { code: 'LIMIT_REACHED' });
    for (let i = 0; i < 50; i++) await setImmediate();
    const each = (asked.other?.length ?? 0) / EXPORTS_MAX;
    // Four make a message.
    t.ok(each <= READ_AHEAD_BLOCKS_MAX + 5, `${each} blocks were asked for each`);
    await Promise.all(readers.map((reader) => reader.return?.()));
    while (calls.open > 0) await setImmediate();
    await run(wide.root)[Symbol.asyncIterator]().next();
  },
);

t.test('a call that is cancelled ends at once, with its reason', async (t) => {
  const text = leaf('cancelled');
  const cancel = new AbortController();
  const { run, calls } = cluster({
    here: holding([]),
    other: (_, signal) => raceSignal(new Promise<never>(() => {}), signal),
  });
  const next = run(text, {}, { ...callContext(), signal: cancel.signal })
    [Symbol.asyncIterator]()
    .next();
  next.catch(() => {});
  while (calls.open === 0) await setImmediate();
  cancel.abort(new PinfoldError('DEADLINE', 'late'));
  await t.rejects(next, { code: 'DEADLINE' });
  while (calls.open > 0) await setImmediate();
});

t.test('reading ahead is bounded by blocks, and by bytes once it is known how large they are', async (t) => {
  for (const [size, most] of [
    [100, READ_AHEAD_BLOCKS_MAX],
    [2 * 1024 * 1024, READ_AHEAD_BYTES_MAX / (2 * 1024 * 1024)],
  ] as const) {
    const links = Array.from({ length: 100 }, (_, at) => leaf(`ahead ${at}`).link);
    let loads = 0;
    const blocks = new ReadAhead(async () => {
      loads++;
      return new Uint8Array(size);
    });
    for (let at = 0; at < 40; at++) await blocks.next(links[at]!, links.slice(at + 1));
    await setImmediate();
    t.equal(loads - 40, most);
    await blocks.next(links[40]!, []);
    t.equal(loads - 40, most, 'it was there already');
  }
});

t.test('a call with nothing to ask ends, and a later question begins another', async (t) => {
  const text = leaf('idle');
  const { needs, time, calls } = cluster({ here: holding([]), other: holding([text]) });
  const init = { peerId: 'other', name: '', signal: new AbortController().signal };
  const source = new PeerBlocks(init, { rpc: needs.network.rpc, timers: time.timers });
  t.same(await source.get(text.link), text.bytes);
  t.equal(await source.get(leaf('absent').link), undefined);
  t.same(calls, { begun: 1, open: 1 });
  await time.advance(SOURCE_IDLE_MS);
  t.same(calls, { begun: 1, open: 0 });
  t.same(await source.get(text.link), text.bytes);
  t.same(calls, { begun: 2, open: 1 });
  t.equal(source.failures, 0);
});

t.test('failures of a source are counted by call, and forgotten with an answer', async (t) => {
  const text = leaf('counted');
  let isDown = true;
  const { needs, time } = cluster({
    here: holding([]),
    other: async () => {
      if (isDown) throw new ConnectorError('UNREACHABLE', 'down');
      return text.bytes;
    },
  });
  const init = { peerId: 'other', name: '', signal: new AbortController().signal };
  const source = new PeerBlocks(init, { rpc: needs.network.rpc, timers: time.timers });
  for (let round = 1; round <= SOURCE_FAILURES_MAX; round++) {
    const all = await Promise.allSettled([source.get(text.link), source.get(text.link)]);
    t.same(
      all.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    t.equal(source.failures, round);
  }
  isDown = false;
  t.same(await source.get(text.link), text.bytes);
  t.equal(source.failures, 0);
});

t.test('getBlocks: one answer for each CID, in order, whatever takes longer', async (t) => {
  const texts = ['a', 'b', 'c', 'd', 'e'].map(leaf);
  const known = holding(texts.slice(1));
  const connector = {
    async getBlock(cid: Uint8Array) {
      if (formatCid(cid) === formatCid(texts[1]!.cid)) for (let i = 0; i < 20; i++) await setImmediate();
      return known(cid, new AbortController().signal);
    },
  };
  const ask = async (...requests: Uint8Array[][]) => {
    async function* stream() {
      for (const cids of requests) yield create(GetBlocksRequestSchema, { cids: cids as Uint8Array<ArrayBuffer>[] });
    }
    const context = { peerId: 'x', signal: new AbortController().signal };
    const answers: GetBlocksResponse[] = [];
    for await (const answer of getBlocksHandlers({ connector }).getBlocks(stream(), context)) answers.push(answer);
    return answers.map(({ data }) => data && Buffer.from(data).toString());
  };
  const cids = texts.map(({ cid }) => cid);
  t.same(await ask(cids.slice(0, 2), [], cids.slice(2)), [undefined, 'b', 'c', 'd', 'e']);
  await t.rejects(ask(Array.from({ length: BLOCKS_ASKED_MAX + 1 }, () => cids[0]!)), {
    code: 'INVALID_ARGUMENT',
    details: { fields: [{ field: 'cids' }] },
  });
  await t.rejects(ask([cids[0]!], [Buffer.from('no CID')]), { code: 'INVALID_CID' });
  const failing = getBlocksHandlers({
    connector: {
      async getBlock() {
        throw new ConnectorError('UNREACHABLE', 'down');
      },
    },
  });
  const answers = failing.getBlocks(
    (async function* () {
      yield create(GetBlocksRequestSchema, { cids: [cids[0] as Uint8Array<ArrayBuffer>] });
    })(),
    { peerId: 'x', signal: new AbortController().signal },
  );
  await t.rejects(answers[Symbol.asyncIterator]().next(), { code: 'IPFS_UNAVAILABLE' });
});

t.test('large blocks are cut, and empty ones are there', async (t) => {
  const large = block(RAW, new Uint8Array(3 * 1024 * 1024 + 5).fill(7));
  const { run } = cluster({ here: holding([large]) });
  for (const format of ['car', 'files'] as const) {
    const sizes: number[] = [];
    for await (const event of run(large, { format })) if (event.kind === 'data') sizes.push(event.bytes.length);
    t.ok(sizes.every((size) => size <= 1024 * 1024));
    t.ok(sizes.length <= 5, `${sizes}`);
  }
  const nothing = block(RAW, new Uint8Array());
  const empty = cluster({ here: holding([]), other: holding([nothing]) });
  t.same(await blocksIn(await empty.car(nothing)), [nothing.link.toString()]);
});
