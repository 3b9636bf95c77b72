import type { Test } from 'tap';
import { type Connector, ConnectorError, type Wish } from '../../src/ipfs/connector.ts';
import { formatCid } from '../../src/model/cid.ts';
import { block, cborNode, DAG_PB, dag, leaf, pbNode, type TestBlock, type TestDag, version0, wideDag } from './dags.ts';

/** A node under test, started. */
export interface TestNode {
  connector: Connector;
  /** Makes the block vanish from its disk, behind its back. */
  lose(block: TestBlock): Promise<void>;
  /** Stops it and starts another one on the same disk. */
  restart(): Promise<void>;
  /** The node itself goes away, at once. Default: its connector stops, which then is the node. */
  vanish?(): Promise<void>;
}

/** What a node cannot do by its nature. Each is said, with its reason, where the suite is called. */
export interface ConnectorTraits {
  /** Why the tests cannot run on this machine: each is reported by its name as not run. */
  skip?: string | false;
  /** The shortest stall time-out that it can tell from slowness. */
  stallMs?: number;
  /** `coarse`: blocks are not counted one by one, but now and then. */
  progress?: 'each' | 'coarse';
  /** It pins a block only if it can decode it, be it alone. */
  decodesDirect?: boolean;
  /** It does not tell the sizes of what it collects. */
  collectsWithoutSizes?: boolean;
  /** It collects only while no pin is under way. */
  collectsAlone?: boolean;
  /** It may lose a want on its way, and sends it again after a minute only. */
  losesWants?: boolean;
  /** It resolves /ipns names. */
  resolvesNames?: boolean;
  /** The space it tells has its own bookkeeping in it. */
  roughSpace?: boolean;
}

/** Nodes that can reach each other if they have the same `network`. What it made is stopped at the end of the test. */
export type NodeMaker = (t: Test, options?: { network?: 'one' | 'other' }) => Promise<TestNode>;

/** Where a pin is to stall. */
const STALL_MS = 400;
/** Where it is to succeed: a slow machine must not be taken for a stall. */
const PATIENCE_MS = 30_000;
const forever = new AbortController().signal;

/** What every connector must do, whatever node is behind it. */
export function connectorSuite(t: Test, makeNode: NodeMaker, traits: ConnectorTraits = {}): void {
  const { skip = false, stallMs = STALL_MS, progress: counting = 'each' } = traits;
  const test = (name: string, fn: (t: Test) => Promise<void>) => {
    t.test(name, { timeout: Math.max(20_000, 50 * stallMs), skip }, (t) => {
      keepAlive(t);
      return fn(t);
    });
  };

  /** From other nodes. Whoever uses the connector tries again what has stalled. */
  async function fetch(connector: Connector, wish: Partial<Wish> & { cid: Uint8Array }): Promise<void> {
    const stallTimeoutMs = traits.losesWants ? PATIENCE_MS / 3 : PATIENCE_MS;
    for (let triesLeft = traits.losesWants ? 3 : 1; ; triesLeft--) {
      try {
        await pin(connector, wish, { stallTimeoutMs });
        return;
      } catch (cause) {
        if (triesLeft === 1 || !(cause instanceof ConnectorError) || cause.kind !== 'PIN_STALLED') throw cause;
      }
    }
  }

  test('id tells who and where the node is', async (t) => {
    const { connector } = await makeNode(t);
    const id = await connector.id({ signal: forever });
    t.ok(id.peerId.length > 0);
    t.ok(id.addresses.length > 0);
    for (const address of id.addresses) t.ok(address.endsWith(`/p2p/${id.peerId}`), address);
    t.match(id.agent, /^[a-z]+\/[0-9]/);
  });

  test('both CID versions of a DAG are one wish', async (t) => {
    const { connector } = await makeNode(t);
    const { root, blocks } = dag('versions');
    await connector.putBlocks(blocks, { signal: forever });
    await pin(connector, { cid: version0(root) });
    t.equal(await held(connector, root.cid), 'recursive');
    t.equal(await held(connector, version0(root)), 'recursive');
    await pin(connector, { cid: root.cid });
    t.same(await listed(connector), [[formatCid(root.cid), 'recursive']], 'one record, in version 1');
    t.same(await connector.getBlock(version0(root), { signal: forever }), root.bytes);
    await connector.unpin(root.cid, { signal: forever });
    t.equal(await held(connector, version0(root)), 'none');
    t.same(await listed(connector), []);
    await pin(connector, { cid: root.cid });
    await connector.unpin(version0(root), { signal: forever });
    t.same(await listed(connector), []);
  });

  test('recursive and direct replace each other', async (t) => {
    const { connector } = await makeNode(t);
    const { root, blocks } = dag('modes');
    await connector.putBlocks(blocks, { signal: forever });
    for (const mode of ['direct', 'recursive', 'direct', 'direct'] as const) {
      await pin(connector, { cid: root.cid, mode });
      t.equal(await held(connector, root.cid), mode);
      t.equal((await listed(connector)).length, 1);
    }
  });

  test('tells which blocks it lacks', async (t) => {
    const { connector } = await makeNode(t);
    const { blocks } = dag('missing');
    const cids = blocks.map(({ cid }) => cid);
    const missing = () => connector.missingBlocks(cids, { signal: forever });
    t.same(await missing(), cids);
    await connector.putBlocks(blocks.slice(0, 2), { signal: forever, areChecked: true });
    t.same(await missing(), cids.slice(2));
    await connector.putBlocks(blocks, { signal: forever });
    t.same(await missing(), []);
    t.same(await connector.missingBlocks([], { signal: forever }), []);
  });

  test('direct needs the one block, and no other', async (t) => {
    const { connector } = await makeNode(t);
    const { root } = dag('direct');
    await connector.putBlocks([root], { signal: forever });
    await pin(connector, { cid: root.cid, mode: 'direct' });
    t.equal(await held(connector, root.cid), 'direct');
    await failsWith(t, pin(connector, { cid: root.cid }, { stallTimeoutMs: stallMs }), 'NO_PROVIDER');
    t.equal(await held(connector, root.cid), 'direct', 'the record that was there stays');
  });

  test('a pin is complete when it resolves, from the node itself', async (t) => {
    const node = await makeNode(t);
    const { root, blocks } = dag('complete');
    for (const missing of blocks) {
      await node.connector.putBlocks(blocks, { signal: forever });
      await node.lose(missing);
      await failsWith(
        t,
        pin(node.connector, { cid: root.cid }, { stallTimeoutMs: Math.min(50, stallMs) }),
        'NO_PROVIDER',
      );
      t.equal(await held(node.connector, root.cid), 'none');
    }
    await node.connector.putBlocks(blocks, { signal: forever });
    const progress = await pin(node.connector, { cid: root.cid });
    t.equal(await held(node.connector, root.cid), 'recursive');
    const counts = Array.from({ length: blocks.length }, (_, at) => at + 1);
    if (counting === 'each') t.same(progress, counts, 'each block counted once');
    else t.equal(progress.at(-1), blocks.length, 'all counted');
  });

  test('a hint of what a pin replaces changes nothing but its cost', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const old = dag('replaced');
    const hints = {
      held: old.root.cid,
      'held, version 0': version0(old.root),
      absent: leaf('x').cid,
      none: new Uint8Array(3),
    };
    await to.connector.putBlocks(old.blocks, { signal: forever });
    await pin(to.connector, { cid: old.root.cid });
    const all = [formatCid(old.root.cid)];
    for (const [what, updates] of Object.entries(hints)) {
      const added = leaf(`added, with a hint that is ${what}`);
      const root = pbNode([old.root, added]);
      await from.connector.putBlocks([...old.blocks, added, root], { signal: forever });
      await pin(to.connector, { cid: root.cid, sources: await addresses(from), updates });
      await holdsAll(t, to.connector, [...old.blocks, added, root]);
      all.push(formatCid(root.cid));
    }
    t.same(
      await listed(to.connector),
      all.sort().map((cid) => [cid, 'recursive']),
    );
    const direct = leaf('direct, with a hint');
    await to.connector.putBlocks([direct], { signal: forever });
    await pin(to.connector, { cid: direct.cid, mode: 'direct', updates: old.root.cid });
    t.equal(await held(to.connector, direct.cid), 'direct');
  });

  test('a pin fetches from its sources', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const { root, blocks } = dag('fetch');
    await from.connector.putBlocks(blocks, { signal: forever });
    const progress = await pin(to.connector, { cid: root.cid, sources: await addresses(from) });
    t.equal(progress.at(-1), blocks.length);
    await holdsAll(t, to.connector, blocks);
    t.equal(await held(from.connector, root.cid), 'none', 'the source has promised nothing');
  });

  test('a wide DAG is fetched whole', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const { root, blocks } = wideDag('wide', 700, 1_000);
    await from.connector.putBlocks(blocks, { signal: forever });
    await fetch(to.connector, { cid: root.cid, sources: await addresses(from) });
    await holdsAll(t, to.connector, blocks);
  });

  test('what is half here is completed from others', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const { root, blocks } = dag('half');
    await from.connector.putBlocks(blocks, { signal: forever });
    await to.connector.putBlocks(
      blocks.filter((_, at) => at % 2 === 0),
      { signal: forever },
    );
    await fetch(to.connector, { cid: root.cid, sources: await addresses(from) });
    await holdsAll(t, to.connector, blocks);
  });

  test('a node that is connected later is asked for what is wanted already', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const { root, blocks } = dag('later');
    await from.connector.putBlocks(blocks, { signal: forever });
    const pinned = pin(to.connector, { cid: root.cid }, { stallTimeoutMs: PATIENCE_MS });
    await nothingYet(to.connector, root);
    await to.connector.connect(await addresses(from), { signal: forever });
    await pinned;
    await holdsAll(t, to.connector, blocks);
  });

  test('a block that the source gets later arrives', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const { root, blocks } = dag('source later');
    await from.connector.putBlocks(blocks.slice(1), { signal: forever });
    const pinned = pin(
      to.connector,
      { cid: root.cid, sources: await addresses(from) },
      { stallTimeoutMs: PATIENCE_MS },
    );
    await until(async () => (await to.connector.getBlock(root.cid, { signal: forever })) !== undefined);
    await from.connector.putBlocks(blocks.slice(0, 1), { signal: forever });
    await pinned;
    await holdsAll(t, to.connector, blocks);
  });

  test('a source that goes away half-way is replaced by another', async (t) => {
    const [first, second, to] = [await makeNode(t), await makeNode(t), await makeNode(t)];
    const { root, blocks } = wideDag('goes away', 200, counting === 'each' ? 20_000 : 200_000);
    for (const node of [first, second]) await node.connector.putBlocks(blocks, { signal: forever });
    const sources = [...(await addresses(first)), ...(await addresses(second))];
    let gone: Promise<void> | undefined;
    const vanish = () => {
      gone ??= first.vanish?.() ?? first.connector.stop();
    };
    const pinned = to.connector.pin(
      { cid: root.cid, mode: 'recursive', sources },
      {
        signal: forever,
        stallTimeoutMs: PATIENCE_MS,
        onProgress: (count) => {
          if (counting === 'each' && count === 50) vanish();
        },
      },
    );
    if (counting === 'coarse') {
      await until(async () => (await to.connector.getBlock(blocks[20]!.cid, { signal: forever })) !== undefined);
      vanish();
    }
    await pinned;
    t.ok(gone !== undefined);
    await gone;
    await holdsAll(t, to.connector, blocks);
  });

  test('nobody has it: NO_PROVIDER', async (t) => {
    const [other, node] = [await makeNode(t), await makeNode(t)];
    const { root } = dag('nobody');
    const failure = await failsWith(
      t,
      pin(node.connector, { cid: root.cid, sources: await addresses(other) }, { stallTimeoutMs: stallMs }),
      'NO_PROVIDER',
    );
    t.match(failure.message, new RegExp(`${stallMs} ms`));
    t.same(await listed(node.connector), []);
  });

  test('a source that cannot be reached is no provider', async (t) => {
    const node = await makeNode(t);
    const { root } = dag('unreachable');
    const gone = '12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf';
    const sources = [`/ip4/127.0.0.1/tcp/1/p2p/${gone}`, 'nonsense', '/ip4/127.0.0.1/tcp/1'];
    await failsWith(t, pin(node.connector, { cid: root.cid, sources }, { stallTimeoutMs: stallMs }), 'NO_PROVIDER');
    await node.connector.connect(sources, { signal: forever });
  });

  test('some blocks came, then none: PIN_STALLED, and nothing is pinned', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const { root, blocks } = dag('stalled');
    await from.connector.putBlocks(blocks.slice(1), { signal: forever });
    await failsWith(
      t,
      pin(to.connector, { cid: root.cid, sources: await addresses(from) }, { stallTimeoutMs: stallMs }),
      'PIN_STALLED',
    );
    t.equal(await held(to.connector, root.cid), 'none');
    await from.connector.putBlocks(blocks.slice(0, 1), { signal: forever });
    await fetch(to.connector, { cid: root.cid, sources: await addresses(from) });
    t.equal(await held(to.connector, root.cid), 'recursive', 'the next attempt ends it');
  });

  test('a pin that is slow and gets on does not stall', async (t) => {
    const { connector } = await makeNode(t);
    const leaves = ['one', 'two', 'three', 'four'].map((text) => leaf(`slow ${text}`));
    const root = pbNode(leaves);
    await connector.putBlocks([root], { signal: forever });
    const stallTimeoutMs = Math.max(1_000, 2 * stallMs);
    const pinned = pin(connector, { cid: root.cid }, { stallTimeoutMs });
    for (const one of leaves) {
      // Slowness is a matter of time, and of nothing that could be waited for.
      await new Promise((resolve) => setTimeout(resolve, stallTimeoutMs / 2));
      await connector.putBlocks([one], { signal: forever });
    }
    t.equal((await pinned).at(-1), 5);
  });

  test('nodes of other networks get nothing', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t, { network: 'other' })];
    const { root, blocks } = dag('other network');
    await from.connector.putBlocks(blocks, { signal: forever });
    await failsWith(
      t,
      pin(to.connector, { cid: root.cid, sources: await addresses(from) }, { stallTimeoutMs: stallMs }),
      'NO_PROVIDER',
    );
  });

  test('an abort undoes', async (t) => {
    const node = await makeNode(t);
    const { root } = dag('abort');
    const reason = new Error('changed my mind');
    await node.connector.putBlocks([root], { signal: forever });
    for (const before of ['none', 'direct'] as const) {
      if (before === 'direct') await pin(node.connector, { cid: root.cid, mode: 'direct' });
      const controller = new AbortController();
      const pinned = pin(node.connector, { cid: root.cid }, { signal: controller.signal, stallTimeoutMs: PATIENCE_MS });
      await nothingYet(node.connector, root);
      controller.abort(reason);
      await t.rejects(pinned, reason);
      t.equal(await held(node.connector, root.cid), before, `${before} as before`);
    }
    await t.rejects(node.connector.pinned(root.cid, { signal: AbortSignal.abort(reason) }), reason);
  });

  test('unpin forgets, also what is not there', async (t) => {
    const { connector } = await makeNode(t);
    const { root, blocks } = dag('unpin');
    await connector.unpin(root.cid, { signal: forever });
    await connector.putBlocks(blocks, { signal: forever });
    await pin(connector, { cid: root.cid });
    await connector.unpin(root.cid, { signal: forever });
    await connector.unpin(root.cid, { signal: forever });
    t.equal(await held(connector, root.cid), 'none');
    await holdsAll(t, connector, blocks);
  });

  test('list tells all records', async (t) => {
    const { connector } = await makeNode(t);
    const leaves = Array.from({ length: 1_100 }, (_, at) => leaf(`list ${at}`));
    await connector.putBlocks(leaves, { signal: forever });
    await Promise.all(leaves.map((one, at) => pin(connector, { cid: one.cid, mode: at % 2 ? 'direct' : 'recursive' })));
    const expected = leaves.map((one, at) => [formatCid(one.cid), at % 2 ? 'direct' : 'recursive']);
    t.same(await listed(connector), expected.sort());
  });

  test('two pins of one CID at once are both answered', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const { root, blocks } = dag('twice');
    await from.connector.putBlocks(blocks, { signal: forever });
    const wish = { cid: root.cid, sources: await addresses(from) };
    await Promise.all([pin(to.connector, wish), pin(to.connector, { ...wish, cid: version0(root) })]);
    t.equal((await listed(to.connector)).length, 1);
    await holdsAll(t, to.connector, blocks);
  });

  test('two DAGs with the same blocks, and one of them is given up', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const shared = leaf('shared');
    const [one, other] = [pbNode([shared]), pbNode([shared, leaf('besides')])];
    const controller = new AbortController();
    const stallTimeoutMs = PATIENCE_MS;
    const first = pin(to.connector, { cid: one.cid }, { stallTimeoutMs, signal: controller.signal });
    const second = pin(to.connector, { cid: other.cid }, { stallTimeoutMs });
    await to.connector.putBlocks([one, other], { signal: forever });
    await nothingYet(to.connector, one);
    controller.abort(new Error('given up'));
    await t.rejects(first, /given up/);
    await from.connector.putBlocks([shared, leaf('besides')], { signal: forever });
    await to.connector.connect(await addresses(from), { signal: forever });
    await second;
    t.same(await listed(to.connector), [[formatCid(other.cid), 'recursive']]);
  });

  test('a block that is put while it is wanted is taken', async (t) => {
    const { connector } = await makeNode(t);
    const { root, blocks } = dag('put while wanted');
    const pinned = pin(connector, { cid: root.cid }, { stallTimeoutMs: PATIENCE_MS });
    await nothingYet(connector, root);
    await connector.putBlocks(blocks, { signal: forever });
    await pinned;
    t.equal(await held(connector, root.cid), 'recursive');
  });

  test('a block that is not what its CID says is refused, with all that came with it', async (t) => {
    const { connector } = await makeNode(t);
    const [good, bad] = [leaf('good'), { ...leaf('bad'), bytes: new Uint8Array(3) }];
    await failsWith(t, connector.putBlocks([good, bad], { signal: forever }), 'INVALID_DAG');
    t.equal(await connector.getBlock(bad.cid, { signal: forever }), undefined);
    t.equal(await connector.getBlock(good.cid, { signal: forever }), undefined);
    const big = block(0x55, new Uint8Array(4 * 1024 * 1024 + 1));
    await failsWith(t, connector.putBlocks([big], { signal: forever }), 'INVALID_DAG');
  });

  test('what cannot be decoded cannot be pinned', async (t) => {
    const { connector } = await makeNode(t);
    const broken = block(DAG_PB, new TextEncoder().encode('not protobuf'));
    const unknown = block(0x93 /* eth-tx */, new Uint8Array(4));
    const above = cborNode([leaf('fine'), unknown]);
    await connector.putBlocks([broken, unknown, above, leaf('fine')], { signal: forever });
    for (const one of [broken, unknown, above]) {
      await failsWith(t, pin(connector, { cid: one.cid }), 'INVALID_DAG');
      const direct = pin(connector, { cid: one.cid, mode: 'direct' });
      if (traits.decodesDirect && one !== above) await failsWith(t, direct, 'INVALID_DAG');
      else await direct;
    }
    await failsWith(t, pin(connector, { cid: Uint8Array.of(1, 0x55, 0x99, 1, 1, 0) }), 'INVALID_DAG');
    await failsWith(t, pin(connector, { cid: Uint8Array.of(9, 9, 9) }), 'INVALID_DAG');
  });

  test('getBlock never fetches', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const one = leaf('elsewhere');
    await from.connector.putBlocks([one], { signal: forever });
    await to.connector.connect(await addresses(from), { signal: forever });
    t.equal(await to.connector.getBlock(one.cid, { signal: forever }), undefined);
  });

  test('collecting removes what no record holds, and nothing else', async (t) => {
    const { connector } = await makeNode(t);
    const [kept, gone, direct] = [dag('kept'), dag('gone'), dag('direct')];
    for (const one of [kept, gone, direct]) await connector.putBlocks(one.blocks, { signal: forever });
    await pin(connector, { cid: kept.root.cid });
    await pin(connector, { cid: gone.root.cid });
    await connector.unpin(gone.root.cid, { signal: forever });
    await pin(connector, { cid: direct.root.cid, mode: 'direct' });
    const before = await connector.space({ signal: forever });
    const removed = await collect(connector);
    const expected = [...gone.blocks, ...direct.blocks.slice(0, -1)];
    t.equal(removed.length, expected.length);
    const bytes = removed.reduce((sum, one) => sum + one.bytes, 0);
    const all = expected.reduce((sum, one) => sum + one.bytes.length, 0);
    t.equal(bytes, traits.collectsWithoutSizes ? 0 : all);
    const { usedBytes } = await connector.space({ signal: forever });
    if (!traits.roughSpace) t.equal(usedBytes, before.usedBytes - bytes);
    await holdsAll(t, connector, [...kept.blocks, direct.root]);
    for (const one of expected) t.equal(await connector.getBlock(one.cid, { signal: forever }), undefined);
    t.same(await collect(connector), [], 'a second time there is nothing');
  });

  test('collecting waits while something is protected', async (t) => {
    const { connector } = await makeNode(t);
    const { root, blocks } = dag('protected');
    const garbage = leaf('garbage');
    await connector.putBlocks([garbage], { signal: forever });
    const protections = [connector.protect(), connector.protect()];
    await connector.putBlocks(blocks.slice(0, 4), { signal: forever });
    const collected = collect(connector);
    await connector.putBlocks(blocks.slice(4), { signal: forever });
    protections[0]?.release();
    protections[0]?.release();
    await holdsAll(t, connector, [...blocks, garbage]);
    await pin(connector, { cid: root.cid });
    await holdsAll(t, connector, [...blocks, garbage]);
    protections[1]?.release();
    t.equal((await collected).length, 1);
    await holdsAll(t, connector, blocks);
    t.equal(await connector.getBlock(garbage.cid, { signal: forever }), undefined);
  });

  test('collecting takes nothing from a pin under way', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const { root, blocks } = dag('under way');
    await from.connector.putBlocks(blocks.slice(1), { signal: forever });
    const pinned = pin(
      to.connector,
      { cid: root.cid, sources: await addresses(from) },
      { stallTimeoutMs: PATIENCE_MS },
    );
    await until(
      async () => (await to.connector.getBlock((blocks[1] as TestBlock).cid, { signal: forever })) !== undefined,
    );
    const collected = collect(to.connector);
    if (traits.collectsAlone) await failsWith(t, collected, 'FAILED');
    else await collected;
    await from.connector.putBlocks(blocks.slice(0, 1), { signal: forever });
    if (!traits.collectsAlone) await collect(to.connector);
    await pinned;
    await collect(to.connector);
    await holdsAll(t, to.connector, blocks);
  });

  test('nothing is collected while a pinned block is missing', async (t) => {
    const node = await makeNode(t);
    const [kept, garbage] = [dag('damaged'), leaf('garbage beside damage')];
    await node.connector.putBlocks([...kept.blocks, garbage], { signal: forever });
    await pin(node.connector, { cid: kept.root.cid });
    await node.lose(kept.blocks[5] as TestBlock);
    await failsWith(t, collect(node.connector), 'FAILED');
    t.not(await node.connector.getBlock(garbage.cid, { signal: forever }), undefined);
  });

  test('a restart finds records and blocks again', async (t) => {
    const node = await makeNode(t);
    const [kept, forgotten] = [dag('restart'), dag('restart, forgotten')];
    const id = await node.connector.id({ signal: forever });
    for (const one of [kept, forgotten]) {
      await node.connector.putBlocks(one.blocks, { signal: forever });
      await pin(node.connector, { cid: one.root.cid });
    }
    await node.connector.unpin(forgotten.root.cid, { signal: forever });
    const { usedBytes } = await node.connector.space({ signal: forever });
    await node.restart();
    t.same(await listed(node.connector), [[formatCid(kept.root.cid), 'recursive']]);
    await holdsAll(t, node.connector, kept.blocks);
    t.equal((await node.connector.id({ signal: forever })).peerId, id.peerId);
    if (traits.roughSpace) return;
    await until(async () => (await node.connector.space({ signal: forever })).usedBytes === usedBytes);
  });

  test('a stop ends what is under way', async (t) => {
    const { connector } = await makeNode(t);
    const { root } = dag('stop');
    const pinned = pin(connector, { cid: root.cid }, { stallTimeoutMs: PATIENCE_MS });
    await nothingYet(connector, root);
    const stopped = connector.stop();
    await failsWith(t, pinned, 'UNREACHABLE');
    await stopped;
    await failsWith(t, connector.pinned(root.cid, { signal: forever }), 'UNREACHABLE');
  });

  test('space tells what is used and what is free', async (t) => {
    const { connector } = await makeNode(t);
    const { blocks } = dag('space');
    await connector.putBlocks(blocks, { signal: forever });
    await connector.putBlocks(blocks, { signal: forever });
    const { usedBytes, freeBytes } = await connector.space({ signal: forever });
    const all = blocks.reduce((sum, one) => sum + one.bytes.length, 0);
    if (traits.roughSpace) t.ok(usedBytes >= all, `${usedBytes} of at least ${all}`);
    else t.equal(usedBytes, all, 'each block once');
    t.ok(freeBytes > 0);
  });
}

/** The timers of the system do not keep a process alive, and a node may have nothing else. */
export function keepAlive(t: Test): void {
  const handle = setInterval(() => {}, 1_000);
  t.teardown(() => clearInterval(handle));
}

interface PinOptions {
  stallTimeoutMs?: number;
  signal?: AbortSignal;
}

/** Resolves with what `onProgress` was called with. */
async function pin(connector: Connector, wish: Partial<Wish> & { cid: Uint8Array }, options: PinOptions = {}) {
  const progress: number[] = [];
  await connector.pin(
    { mode: 'recursive', sources: [], ...wish },
    { signal: forever, stallTimeoutMs: PATIENCE_MS, onProgress: (blocks) => progress.push(blocks), ...options },
  );
  return progress;
}

function held(connector: Connector, cid: Uint8Array) {
  return connector.pinned(cid, { signal: forever });
}

async function listed(connector: Connector): Promise<string[][]> {
  const records: string[][] = [];
  for await (const { cid, mode } of connector.list({ signal: forever })) records.push([formatCid(cid), mode]);
  return records.sort();
}

async function collect(connector: Connector) {
  const removed: { cid: Uint8Array; bytes: number }[] = [];
  for await (const one of connector.collectGarbage({ signal: forever })) removed.push(one);
  return removed;
}

async function addresses(node: TestNode): Promise<string[]> {
  return (await node.connector.id({ signal: forever })).addresses;
}

async function holdsAll(t: Test, connector: Connector, blocks: TestDag['blocks']): Promise<void> {
  for (const one of blocks) {
    const bytes = await connector.getBlock(one.cid, { signal: forever });
    if (bytes === undefined || Buffer.compare(bytes, one.bytes) !== 0) t.fail(`${one.link} is not there`);
  }
  t.pass(`${blocks.length} blocks are there`);
}

export async function failsWith(
  t: Test,
  call: Promise<unknown>,
  kind: ConnectorError['kind'],
): Promise<ConnectorError> {
  const failure = await call.then(
    () => undefined,
    (cause) => cause,
  );
  if (!(failure instanceof ConnectorError)) throw failure ?? new Error(`succeeded, instead of ${kind}`);
  t.equal(failure.kind, kind, failure.message);
  return failure;
}

/** A pin that has begun is not there yet: asked a few times, so that it gets as far as it can. */
async function nothingYet(connector: Connector, root: TestBlock): Promise<void> {
  for (let asked = 0; asked < 20; asked++) {
    if ((await held(connector, root.cid)) === 'recursive') throw new Error('pinned too early');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 8_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('the condition did not come true');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
