import t from 'tap';
import type { AllocatablePeer } from '../../../src/allocator/allocator.ts';
import { balanced } from '../../../src/allocator/balanced.ts';
import { explainPin } from '../../../src/cluster/explain.ts';
import { standingWords } from '../../../src/cluster/standing-words.ts';
import { clusterStatus } from '../../../src/cluster/status.ts';
import { nodeUp } from '../../../src/ipfs/node-state.ts';
import { defaults } from '../allocator/peers.ts';
import { callContext, cidOf, type WorldPeer, world } from './world.ts';

type World = Awaited<ReturnType<typeof world>>;

/** The standing of each peer in their order; the nearer, the more free space. */
function explainAt(
  { peerId, pinset, tracker, monitor, rpc }: WorldPeer,
  w: World,
  standings: readonly Partial<AllocatablePeer>[],
) {
  const options = { ...defaults, allocateBy: ['freespace'], spread: false };
  const peers = standings.map((given, i): AllocatablePeer => {
    const metrics = new Map([['freespace', (100 - i) * 2 ** 30]]);
    return { peerId: w.ids[i] as string, standing: 'takes', reason: undefined, metrics, ...given };
  });
  const base = { peerId, pinset, tracker: tracker.tracker, monitor, rpc, ...w.time };
  return explainPin({
    ...base,
    status: clusterStatus(base),
    placing: { look: () => ({ peers, place: balanced(options).over(peers) }) },
    ipfsState: () => nodeUp,
    allocateBy: options.allocateBy,
  });
}

const query = (cid: Uint8Array, namespace = 'default') => ({ cid, namespace });
const suspect = { standing: 'keeps', reason: { code: 'SUSPECT' } } as const;

t.test('each member: why it is chosen or not, and what it waits for', async (t) => {
  const w = await world(4);
  const [a, b, c, d] = w.peers as [WorldPeer, WorldPeer, WorldPeer, WorldPeer];
  const factors = { replicationMin: 2, replicationMax: 2 };
  await w.writeAll(cidOf(1), { name: 'one', ...factors, allocations: [b.peerId, c.peerId] });
  b.tracker.set(cidOf(1), 'pin_error', {
    attempts: 3,
    errorClass: 'no_provider',
    error: 'nobody has it',
    retryAtMs: 77,
  });
  b.tracker.setPlace({ stage: 'later', isNodeDown: true });
  c.tracker.setPlace({ stage: 'queued', lane: 'fresh', ahead: 5, underWay: 10 });
  const explain = explainAt(a, w, [{}, {}, suspect, {}]);
  const found = await explain(query(cidOf(1)), callContext());
  t.equal(found.pin?.pin.name, 'one');
  t.same(found.placedAgain, [b.peerId, c.peerId], 'all may keep it');
  t.same(found.placedAnew, [a.peerId, b.peerId]);
  t.equal(found.problem, '');
  t.match(found.peers, [
    { peerName: 'peer-1', isAllocated: false, rank: 1, why: 'takes new pins: freespace 100 GiB', work: undefined },
    {
      ...{ peerName: 'peer-2', isAllocated: true, rank: 2, status: { status: 'pin_error', attempts: 3 } },
      work: {
        stage: 5,
        ipfsState: 3,
        waitsFor: /^the time of its next attempt; the IPFS node is down: it does not answer/,
      },
    },
    { peerName: 'peer-4', rank: 3 },
    {
      ...{ peerName: 'peer-3', isAllocated: true, rank: 0, standing: 'keeps', reason: { code: 'SUSPECT' } },
      why: 'keeps what it has, takes nothing new: nothing was heard of it lately',
      work: {
        ...{ stage: 3, lane: 'fresh', ahead: 5, underWay: 10, underWayMax: 10, ipfsState: 1 },
        waitsFor: 'its turn: 5 are before it in the lane "fresh", 10 of at most 10 under way',
      },
    },
  ]);
  const bySelf = await explainAt(c, w, [{}, {}, suspect, {}])(query(cidOf(1)), callContext());
  t.match(bySelf.peers.at(-1), { peerId: c.peerId, work: { ahead: 5 } }, 'the peer asked says it of itself, too');
  t.equal(d.calls.size, 0);
});

t.test('a peer that says nothing is answered without, one that is no member stands there', async (t) => {
  const w = await world(3);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  const factors = { replicationMin: 3, replicationMax: 3 };
  await w.writeAll(cidOf(1), { ...factors, allocations: [a.peerId, b.peerId, c.peerId] });
  a.tracker.set(cidOf(1), 'pinned');
  w.members.splice(2, 1);
  w.lose(c.peerId);
  const rpc: WorldPeer['rpc'] = {
    ...a.rpc,
    call: (to, method, requests, options) => {
      if (method === 'explainWish') w.lose(b.peerId);
      return a.rpc.call(to, method, requests, options);
    },
  };
  const found = await explainAt({ ...a, rpc }, w, [{}, {}])(query(cidOf(1)), callContext());
  t.match(found.problem, /^not enough peers/);
  t.same([found.placedAgain, found.placedAnew], [[], []]);
  t.match(found.peers, [
    { peerId: a.peerId, rank: 1, work: undefined },
    { peerId: b.peerId, rank: 2, work: { waitsFor: /^it does not say: / } },
    {
      ...{ peerId: c.peerId, rank: 0, standing: 'leaves', reason: { code: 'NO_MEMBER' } },
      status: { status: 'cluster_error' },
    },
  ]);
});

t.test('everywhere nobody is chosen; what is not there is not found, nor is what is not the own', async (t) => {
  const w = await world(2);
  const [a] = w.peers as [WorldPeer];
  await w.writeAll(cidOf(1), {});
  const explain = explainAt(a, w, [{}, {}]);
  const found = await explain(query(cidOf(1)), callContext());
  t.same([found.placedAgain, found.placedAnew, found.problem], [[], [], '']);
  t.ok(found.peers.every(({ isAllocated, rank }) => isAllocated && rank === 0));
  await t.rejects(explain(query(cidOf(2)), callContext()), { code: 'PIN_NOT_FOUND' });
  await t.rejects(explain(query(cidOf(1)), callContext({ namespaces: ['team'] })), { code: 'PERMISSION_DENIED' });
});

t.test('every standing has its words, with the numbers that count', async (t) => {
  const words = (reason: Parameters<typeof standingWords>[0]['reason'], standing: AllocatablePeer['standing']) =>
    standingWords({ standing, reason, metrics: new Map<string, number | string>() }, []);
  const headroom = { code: 'BELOW_HEADROOM', freeBytes: 200 * 2 ** 20, headroomBytes: 2 ** 40 } as const;
  t.match(words(headroom, 'keeps'), /it has 200 MiB of free space, and 1024 GiB are kept free$/);
  t.match(words({ code: 'MISSING_TAG', tag: 'disk', value: 'ssd' }, 'keeps'), /its tag disk is not ssd$/);
  t.match(words({ code: 'NO_METRIC', metric: 'pinqueue' }, 'keeps'), /what its pinqueue is$/);
  t.match(words({ code: 'DRAINING' }, 'leaves'), /^what it has is to lie elsewhere: it is being drained$/);
  t.match(words({ code: 'FOLLOWER' }, 'named'), /by name: it is a follower$/);
  const metrics = new Map<string, number | string>([
    ['tag:region', 'eu'],
    ['pinqueue', 5],
    ['latency', 12],
    ['freespace', 5 * 2 ** 20],
  ]);
  const all = ['tag:region', 'tag:zone', 'pinqueue', 'latency', 'freespace'];
  t.equal(
    standingWords({ standing: 'takes', reason: undefined, metrics }, all),
    'takes new pins: tag:region eu, tag:zone none, pinqueue 5, latency 12 ms, freespace 5 MiB',
  );
});
