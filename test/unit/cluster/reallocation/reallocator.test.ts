import t from 'tap';
import type { AllocatablePeer, Standing } from '../../../../src/allocator/allocator.ts';
import { balanced } from '../../../../src/allocator/balanced.ts';
import { Places } from '../../../../src/cluster/reallocation/places.ts';
import { Reallocator } from '../../../../src/cluster/reallocation/reallocator.ts';
import type { Outcome, Request } from '../../../../src/consensus/consensus.ts';
import { PinfoldError } from '../../../../src/model/errors.ts';
import type { Member } from '../../../../src/monitor/monitor.ts';
import type { StoredPin } from '../../../../src/pinset/pinset.ts';
import { silentLogger } from '../../../../src/runtime/logger.ts';
import { noMetrics } from '../../../../src/runtime/metrics.ts';
import { plainFields, testCid, testKey } from '../../../support/crdt-peers.ts';
import { virtualTime } from '../../../support/virtual-time.ts';
import { defaults } from '../../allocator/peers.ts';

/** One re-allocator, the first of these peers, over pins that a commit changes at once; every node has what it is given when it is asked. */
function world(standings: Record<string, Standing>, acting = 1) {
  const time = virtualTime();
  const pins: StoredPin[] = [];
  const moved: string[] = [];
  const damaged = new Set<string>();
  const written: { revision: number; everything: boolean; keys: Uint8Array[] }[] = [];
  const peerIds = Object.keys(standings);
  const find = (key: Uint8Array) => pins.find((pin) => Buffer.compare(pin.key, key) === 0);
  const feed = {
    revision: 0,
    flushedRevision: 0,
    mark: () => undefined,
    read: (after: number) => written.slice(after),
    wait: async () => {},
  };
  const allocator = balanced(defaults);
  const places = () =>
    new Places(
      peerIds.map(
        (peerId): AllocatablePeer => ({
          peerId,
          standing: standings[peerId] as Standing,
          reason: undefined,
          metrics: new Map([
            ['freespace', 2 ** 40],
            ['pinqueue', 0],
          ]),
        }),
      ),
      { allocator, allocateBy: defaults.allocateBy, isLost: () => false },
    );
  const members = peerIds.map(
    (peerId, i) => ({ peerId, health: i < acting ? 'up' : 'down', follower: false }) as Member,
  );
  const reallocator = new Reallocator({ pinsPerSecondMax: 1_000 }, {
    peerId: peerIds[0] as string,
    pinset: {
      get(key: Uint8Array) {
        const pin = find(key);
        if (pin !== undefined && damaged.has(pin.pin.name)) throw new PinfoldError('DATA_CORRUPT', 'x');
        return pin;
      },
      keys: () => pins.map(({ key }) => key),
      feed,
    },
    consensus: {
      refusal: () => undefined,
      async commit(requests: readonly Request[]) {
        for (const { ops } of requests) {
          for (const op of ops) {
            const pin = find(op.key);
            if (op.kind !== 'amend' || pin === undefined) throw new Error('pins are only moved');
            moved.push(pin.pin.name);
            Object.assign(pin.pin, { allocations: op.allocations });
          }
        }
        return requests.map(() => ({ ok: true }) as Outcome);
      },
    },
    monitor: { members: () => members, member: () => members[0], raise() {}, clear() {} },
    tracker: {
      statuses: (cids) =>
        cids.map((cid) => ({
          ...{ cid, status: 'pinned', sinceMs: 0, attempts: 0, errorClass: undefined, error: '', retryAtMs: 0 },
        })),
    },
    rpc: {
      call: () => {
        throw new Error('it does not answer');
      },
    },
    isTrusted: () => true,
    places,
    held: () => [],
    clock: time.clock,
    timers: time.timers,
    logger: silentLogger,
    metrics: noMetrics,
  } as ConstructorParameters<typeof Reallocator>[1]);
  const add = (name: string, allocations: string[], replicationMin: number, replicationMax: number) =>
    pins.push({
      key: testKey(name),
      etag: new Uint8Array(16),
      pin: {
        ...plainFields,
        name,
        cid: testCid(name),
        namespace: 'default',
        allocations,
        replicationMin,
        replicationMax,
      },
    });
  return { time, pins, moved, damaged, written, feed, reallocator, add, standings };
}

t.test('those that have the fewest copies left are moved first', async (t) => {
  const { time, moved, reallocator, add } = world({ a: 'takes', b: 'takes', c: 'takes', lost: 'leaves' });
  add('wants a third', ['a', 'b'], 2, 3);
  add('one left of two', ['a', 'lost'], 2, 2);
  add('none left', ['lost'], 1, 1);
  add('two left of three', ['a', 'b', 'lost'], 3, 3);
  add('as it should be', ['a', 'b', 'c'], 3, 3);
  await reallocator.start();
  await time.advance(100);
  t.same(moved, ['none left', 'one left of two', 'two left of three', 'wants a third']);
  await reallocator.stop();
});

t.test('a full look goes on with what waits, and rests when nothing is left', async (t) => {
  const { time, moved, pins, reallocator, add, standings } = world({ a: 'takes', b: 'takes', c: 'takes' });
  add('x', ['a', 'b'], 1, 2);
  await reallocator.start();
  await time.advance(5_000);
  t.same(moved, []);
  standings.b = 'leaves';
  await time.advance(2_000);
  t.same(pins[0]?.pin.allocations, ['a', 'c'], 'a says that it holds it, which is enough for b to be let go');
  await reallocator.stop();
});

t.test('of many peers each acts on its share', async (t) => {
  const { time, moved, reallocator, add } = world({ a: 'takes', b: 'takes', c: 'takes', lost: 'leaves' }, 3);
  for (let i = 0; i < 90; i++) add(`pin ${i}`, ['a', 'lost'], 2, 2);
  await reallocator.start();
  await time.advance(1_000);
  const share = new Set(moved).size;
  t.ok(share > 10 && share < 60, `${share} of 90`);
  await reallocator.stop();
});

t.test(
  'a damaged row keeps no other pin where it is, when all are looked at and when it was just written',
  async (t) => {
    const { time, moved, damaged, written, feed, reallocator, add } = world({ a: 'takes', lost: 'leaves' });
    add('damaged', ['lost'], 1, 1);
    add('whole', ['lost'], 1, 1);
    damaged.add('damaged');
    await reallocator.start();
    await time.advance(10_000);
    t.same([...new Set(moved)], ['whole']);
    add('written later', ['lost'], 1, 1);
    written.push({ revision: 1, everything: false, keys: [testKey('damaged'), testKey('written later')] });
    feed.revision = 1;
    await time.advance(120_000);
    t.ok(moved.includes('written later'));
    t.notOk(moved.includes('damaged'));
    await reallocator.stop();
  },
);
