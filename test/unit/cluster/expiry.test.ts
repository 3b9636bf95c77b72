import t from 'tap';
import { expiry } from '../../../src/cluster/expiry.ts';
import { listPins } from '../../../src/cluster/listing.ts';
import { rendezvousOrder } from '../../../src/cluster/rendezvous.ts';
import type { Op, Request } from '../../../src/consensus/consensus.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import type { Member } from '../../../src/monitor/monitor.ts';
import type { PinPage, PinQuery, StoredPin } from '../../../src/pinset/pinset.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { anyone } from '../../support/api-peer.ts';
import { plainFields, testCid, testKey } from '../../support/crdt-peers.ts';
import { virtualTime } from '../../support/virtual-time.ts';

const delayMs = 60_000;
const intervalMs = 1_000;
const names = ['peer1', 'peer2', 'peer3'];

function storedPin(name: string, expiresMs: number): StoredPin {
  const pin = { ...plainFields, cid: testCid(name), namespace: 'default', allocations: [], expiresMs };
  return { key: testKey(name), pin, etag: new Uint8Array(16).fill(7) };
}

/** One expiry a peer, all with the same clock and pins; what each of them committed. */
function world(init: { down?: string[]; followers?: string[]; refusal?: PinfoldError } = {}) {
  const time = virtualTime();
  const pins: StoredPin[] = [];
  const committed: { peer: string; op: Op; atMs: number }[] = [];
  let failing = 0;
  const rounds = names.map((peer) =>
    expiry(
      { delayMs, intervalMs, pinsPerRoundMax: 10 },
      {
        pinset: { expired: (nowMs, limit) => pins.filter(({ pin }) => pin.expiresMs <= nowMs).slice(0, limit) },
        consensus: {
          capabilities: undefined as never,
          refusal: () => init.refusal,
          async commit(requests: readonly Request[]) {
            if (failing-- > 0) throw new PinfoldError('STORAGE_FAILED', 'x');
            for (const op of requests.flatMap(({ ops }) => ops)) {
              committed.push({ peer, op, atMs: time.clock.nowMs() });
              const at = pins.findIndex(({ key }) => Buffer.compare(key, op.key) === 0);
              if (at >= 0) pins.splice(at, 1);
            }
            return [];
          },
        },
        members: () =>
          names.map(
            (peerId) =>
              ({
                peerId,
                self: peerId === peer,
                follower: init.followers?.includes(peerId) === true,
                health: init.down?.includes(peerId) === true ? 'down' : 'up',
              }) as Member,
          ),
        clock: time.clock,
        timers: time.timers,
        logger: silentLogger,
      },
    ),
  );
  return {
    time,
    pins,
    committed,
    fail: (times: number) => {
      failing = times;
    },
    start: () => Promise.all(rounds.map((each) => each.start())),
    stop: () => Promise.all(rounds.map((each) => each.stop())),
  };
}

t.test('the first in rendezvous order removes an expired pin, once, after the delay', async (t) => {
  const { time, pins, committed, start, stop } = world();
  const expiresMs = time.clock.nowMs() + 5_000;
  pins.push(storedPin('a', expiresMs), storedPin('never', Number.MAX_SAFE_INTEGER));
  await start();
  await time.advance(5_000 + delayMs - intervalMs);
  t.strictSame(committed, []);
  await time.advance(3 * intervalMs);
  const [first] = rendezvousOrder(testKey('a'), names);
  t.match(committed, [{ peer: first, op: { kind: 'expire', basis: new Uint8Array(16).fill(7) } }]);
  t.equal(pins.length, 1);
  await stop();
  t.equal(time.pending(), 0, 'stopped');
});

t.test('where the first does nothing, the next does it as much later', async (t) => {
  const order = rendezvousOrder(testKey('b'), names);
  const { time, pins, committed, start, stop, fail } = world();
  const expiresMs = time.clock.nowMs();
  pins.push(storedPin('b', expiresMs));
  // Its every attempt fails for as long as it is the only one whose turn it is.
  fail(delayMs / intervalMs);
  await start();
  await time.advance(3 * delayMs);
  t.equal(committed.length, 1);
  t.ok((committed[0]?.atMs ?? 0) >= expiresMs + 2 * delayMs - intervalMs);
  t.ok(order.slice(0, 2).includes(committed[0]?.peer ?? ''));
  await stop();
});

t.test('peers that are down and followers are not waited for', async (t) => {
  const order = rendezvousOrder(testKey('c'), names);
  const { time, pins, committed, start, stop } = world({ down: [order[0] ?? ''], followers: [order[1] ?? ''] });
  pins.push(storedPin('c', time.clock.nowMs()));
  await start();
  await time.advance(delayMs + 2 * intervalMs);
  t.match(committed, [{ peer: order[2] }]);
  await stop();
});

t.test('nothing is tried while writes are refused', async (t) => {
  const { time, pins, committed, start, stop } = world({ refusal: new PinfoldError('JOINING', 'x') });
  pins.push(storedPin('d', time.clock.nowMs()));
  await start();
  await time.advance(5 * delayMs);
  t.strictSame(committed, []);
  await stop();
});

t.test('the order is the same for all, a permutation, and differs by subject', async (t) => {
  const orders = Array.from({ length: 30 }, (_, i) => rendezvousOrder(testKey(i), names));
  for (const [i, order] of orders.entries()) {
    t.strictSame(rendezvousOrder(testKey(i), [...names].reverse()), order);
    t.strictSame([...order].sort(), names);
  }
  t.equal(new Set(orders.map(([first]) => first)).size, 3);
});

/** A pinset of so many pins whose pages are empty where `empties` says. */
function listed(count: number, empties: (page: number) => boolean = () => false) {
  const time = virtualTime();
  const queries: PinQuery[] = [];
  const list = (query: PinQuery): PinPage => {
    queries.push(query);
    const at = query.cursor?.[0] ?? 0;
    const taken = empties(queries.length) ? 0 : Math.min(query.limit, count - at);
    const pins = Array.from({ length: taken }, (_, i) => storedPin(String(at + i), 0));
    return { pins, damaged: [], cursor: at + taken < count ? Uint8Array.of(at + taken) : undefined };
  };
  const pieces = listPins({ pinset: { list }, timers: time.timers });
  return { time, queries, pieces };
}

const query = { filter: {}, order: 'key' as const, pageSize: 0, cursor: undefined, pieceSize: 10 };

async function sizes(world: ReturnType<typeof listed>, more: Partial<typeof query> = {}, call = anyone()) {
  const found: string[] = [];
  let isDone = false;
  const work = (async () => {
    for await (const { pins, cursor } of world.pieces({ ...query, ...more }, call)) {
      found.push(`${pins.length}${cursor === undefined ? ' end' : ''}`);
    }
  })().finally(() => {
    isDone = true;
  });
  work.catch(() => {});
  while (!isDone) await world.time.advance(1);
  await work;
  return found;
}

t.test('a listing comes in pieces, to its end or the size of a page', async (t) => {
  t.strictSame(await sizes(listed(25)), ['10', '10', '5 end']);
  t.strictSame(await sizes(listed(25), { pageSize: 12 }), ['10', '2']);
  t.strictSame(await sizes(listed(25), { pageSize: 25 }), ['10', '10', '5 end']);
  t.strictSame(await sizes(listed(0)), ['0 end'], 'none: one piece that says so');
  t.strictSame(await sizes(listed(20, (page) => page % 2 === 1)), ['10', '10 end'], 'empty pages are passed over');
});

t.test('a listing keeps to the namespaces of its caller', async (t) => {
  const mine = { ...anyone(), namespaces: ['mine'] };
  const world = listed(1);
  await sizes(world, {}, mine);
  t.strictSame(world.queries[0]?.filter, { namespaces: ['mine'] });
  await t.rejects(sizes(listed(1), { filter: { namespaces: ['other'] } as never }, mine), {
    code: 'PERMISSION_DENIED',
  });
});

t.test('an abort ends a listing between two pieces', async (t) => {
  const abort = new AbortController();
  const world = listed(25);
  const pieces = world.pieces(query, anyone(abort.signal))[Symbol.asyncIterator]();
  await pieces.next();
  abort.abort(new PinfoldError('CANCELLED', 'gone'));
  await t.rejects(pieces.next() as Promise<unknown>, { code: 'CANCELLED' });
  t.equal(world.queries.length, 1);
});
