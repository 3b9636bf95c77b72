import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import {
  type CollectEvent,
  type CollectingNeeds,
  type CollectQuery,
  collecting,
  collectingHandlers,
} from '../../../src/cluster/collecting.ts';
import { COLLECTED_CIDS_PER_MESSAGE, READER_STALL_MS_MAX } from '../../../src/cluster/constants.ts';
import { type CallOptions, ConnectorError } from '../../../src/ipfs/connector.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import type { Member } from '../../../src/monitor/monitor.ts';
import { raceSignal } from '../../../src/runtime/abort.ts';
import { virtualTime } from '../../support/virtual-time.ts';
import { callContext, cidOf } from './world.ts';

type Node = (options: CallOptions) => AsyncGenerator<{ cid: Uint8Array; bytes: number }>;

/** Peers, each with what its node does when it is to collect. The first is asked. */
function cluster(nodes: Record<string, Node>) {
  const time = virtualTime();
  const peerIds = Object.keys(nodes);
  const begun: string[] = [];
  const running = new Set<string>();
  let mostRunning = 0;
  const connectorOf = (peerId: string) => ({
    async *collectGarbage(options: CallOptions) {
      begun.push(peerId);
      running.add(peerId);
      mostRunning = Math.max(mostRunning, running.size);
      try {
        yield* nodes[peerId]!(options);
      } finally {
        running.delete(peerId);
      }
    },
  });
  const member = (peerId: string) => ({ peerId, name: `peer ${peerId}` }) as unknown as Member;
  const needs: CollectingNeeds = {
    ...time,
    peerId: peerIds[0]!,
    connector: connectorOf(peerIds[0]!),
    monitor: {
      members: () => peerIds.map(member),
      member: (peerId) => (peerIds.includes(peerId) ? member(peerId) : undefined),
      isMember: (peerId) => peerIds.includes(peerId),
    },
    rpc: {
      async *call(to, method, requests, { signal }) {
        if (method !== 'collectGarbage') throw new Error(method);
        const handler = collectingHandlers({ ...time, connector: connectorOf(to) }).collectGarbage;
        yield* handler(requests as never, { peerId: peerIds[0]!, signal }) as AsyncIterable<never>;
      },
    },
  };
  const collect = (query: Partial<CollectQuery> = {}, call = callContext()) =>
    collecting(needs).collect({ peerIds: [], all: false, parallel: 0, withCids: false, ...query }, call);
  return { time, begun, running, mostRunning: () => mostRunning, collect };
}

/** Removes so many blocks of 10 bytes. */
const removes = (count: number): Node =>
  async function* () {
    for (let i = 0; i < count; i++) yield { cid: cidOf(i), bytes: 10 };
  };

/** Removes one, and then nothing more until it is cancelled. */
const hangs: Node = async function* ({ signal }) {
  yield { cid: cidOf(1), bytes: 10 };
  await raceSignal(new Promise(() => {}), signal);
};

async function all(events: AsyncIterable<CollectEvent>): Promise<CollectEvent[]> {
  const told: CollectEvent[] = [];
  for await (const event of events) told.push(event);
  return told;
}

const ends = (events: readonly CollectEvent[]) =>
  events.flatMap((event) => (event.kind === 'node' && event.ended ? [event] : []));

t.test('without a name the node of this peer; it is told when it begins and ends, and what was removed', async (t) => {
  const { collect, begun } = cluster({ a: removes(3), b: removes(4) });
  t.match(await all(collect()), [
    { kind: 'node', peerId: 'a', peerName: 'peer a', blocks: 0, ended: false },
    { kind: 'node', peerId: 'a', blocks: 3, bytes: 30, cids: [], ended: false },
    { kind: 'node', peerId: 'a', blocks: 3, bytes: 30, ended: true, error: undefined },
    { kind: 'summary', nodes: 1, failed: 0, blocks: 3, bytes: 30 },
  ]);
  t.same(begun, ['a']);
});

t.test('the CIDs, if they are asked for: each once, a thousand in a message', async (t) => {
  const { collect } = cluster({ a: removes(0), b: removes(2_500) });
  const events = await all(collect({ peerIds: ['b'], withCids: true }));
  const cids = events.flatMap((event) => (event.kind === 'node' ? [event.cids] : []));
  t.same(
    cids.map(({ length }) => length),
    [0, 1_000, 1_000, 500, 0],
  );
  t.equal(COLLECTED_CIDS_PER_MESSAGE, 1_000);
  t.same(
    cids.flat(),
    Array.from({ length: 2_500 }, (_, i) => cidOf(i)),
  );
});

t.test('one node after the other; as many at once as is said, and no more', async (t) => {
  const slow: Node = async function* () {
    for (let i = 0; i < 5; i++) {
      await setImmediate();
      yield { cid: cidOf(i), bytes: 1 };
    }
  };
  const nodes = { a: slow, b: slow, c: slow, d: slow, e: slow };
  const one = cluster(nodes);
  t.match((await all(one.collect({ all: true }))).at(-1), { nodes: 5, failed: 0, blocks: 25, bytes: 25 });
  t.equal(one.mostRunning(), 1);
  t.same(one.begun, ['a', 'b', 'c', 'd', 'e']);
  const three = cluster(nodes);
  await all(three.collect({ peerIds: ['a', 'b', 'c', 'd', 'e', 'a'], parallel: 3 }));
  t.equal(three.mostRunning(), 3);
  t.equal(three.begun.length, 5, 'each once');
});

t.test('what fails at one is told, with what it had removed, and does not stop the others', async (t) => {
  const { collect } = cluster({
    a: removes(1),
    b: async function* () {
      yield { cid: cidOf(1), bytes: 10 };
      throw new ConnectorError('FAILED', 'a pin is under way');
    },
    c: async function* () {
      yield* [];
      throw new PinfoldError('PERMISSION_DENIED', 'not for you');
    },
    d: removes(2),
  });
  const events = await all(collect({ all: true }));
  t.match(ends(events), [
    { peerId: 'a', blocks: 1, error: undefined },
    { peerId: 'b', error: { peerId: 'b', peerName: 'peer b', reason: 'IPFS_FAILED', message: 'a pin is under way' } },
    { peerId: 'c', blocks: 0, error: { reason: 'PERMISSION_DENIED' } },
    { peerId: 'd', blocks: 2, error: undefined },
  ]);
  t.match(events.at(-1), { kind: 'summary', nodes: 2, failed: 2 });
});

t.test('who is no member, and what is over a limit, is refused before anything is collected', async (t) => {
  const { collect, begun } = cluster({ a: removes(1), b: removes(1) });
  await t.rejects(all(collect({ peerIds: ['a', 'x'] })), { code: 'PEER_NOT_FOUND', message: /x/ });
  await t.rejects(all(collect({ peerIds: ['a'], all: true })), { code: 'INVALID_ARGUMENT' });
  await t.rejects(all(collect({ all: true, parallel: 17 })), { code: 'INVALID_ARGUMENT', message: /at most 16/ });
  t.same(begun, []);
});

t.test('a call that is cancelled ends the collection under way, here or elsewhere, and begins no other', async (t) => {
  for (const first of ['a', 'b']) {
    const { collect, begun, running } = cluster({ a: hangs, b: hangs, c: removes(1) });
    const cancel = new AbortController();
    const collected = all(collect({ peerIds: [first, 'c'] }, { ...callContext(), signal: cancel.signal }));
    collected.catch(() => {});
    while (!running.has(first)) await setImmediate();
    cancel.abort(new PinfoldError('CANCELLED', 'enough'));
    await t.rejects(collected, { code: 'CANCELLED' });
    t.same([...running], []);
    t.same(begun, [first]);
  }
});

t.test('so does a reader that leaves', async (t) => {
  const { collect, begun, running } = cluster({ a: removes(1), b: hangs, c: removes(1) });
  for await (const event of collect({ all: true })) if (event.kind === 'node' && event.peerId === 'b') break;
  t.same([...running], []);
  t.notOk(begun.includes('c'));
});

t.test('progress comes now and then, and a reader that is slow holds no node', async (t) => {
  let time: ReturnType<typeof cluster>['time'] | undefined;
  const ticking: Node = async function* () {
    for (let i = 0; i < 100_000; i++) {
      if (i % 100 === 0) time?.pause(25);
      yield { cid: cidOf(i), bytes: 1 };
    }
  };
  const quick = cluster({ a: ticking });
  time = quick.time;
  const events = quick.collect()[Symbol.asyncIterator]();
  await events.next();
  while (quick.running.size > 0 || quick.begun.length === 0) await setImmediate();
  t.pass('it collected to its end, and nobody read');
  const rest = await all({ [Symbol.asyncIterator]: () => events });
  t.match(rest.at(-1), { kind: 'summary', blocks: 100_000 });
  t.ok(rest.length <= 70, `${rest.length} messages`);
  time = undefined;
});

t.test('who asks for CIDs and does not read them ends the collection', async (t) => {
  const { collect, running, time } = cluster({ a: removes(200_000), b: removes(1) });
  const events = collect({ all: true, withCids: true })[Symbol.asyncIterator]();
  await events.next();
  while (time.pending() === 0) await setImmediate();
  t.same([...running], ['a']);
  await time.advance(READER_STALL_MS_MAX);
  t.same([...running], []);
  await t.rejects(all({ [Symbol.asyncIterator]: () => events }), { code: 'SLOW_READER' });
});
