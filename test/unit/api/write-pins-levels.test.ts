import { create, type MessageInitShape } from '@bufbuild/protobuf';
import t from 'tap';
import { AckLevel_Kind, type AckLevelSchema } from '../../../gen/pinfold/v1/pin_pb.ts';
import {
  type WriteDecided,
  type WriteOperationSchema,
  type WritePinsRequest,
  WritePinsRequestSchema,
  type WritePinsResponse,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { bulkMessagesInFlightMax, bulkWaitsMax } from '../../../src/api/constants.ts';
import { writePins } from '../../../src/api/services/write-pins.ts';
import type { Pins } from '../../../src/cluster/pins.ts';
import type { AckLevel, LevelReached, Outcome } from '../../../src/consensus/consensus.ts';
import { formatCid } from '../../../src/model/cid.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { anyone } from '../../support/api-peer.ts';
import { testCid } from '../../support/crdt-peers.ts';

type Ack = MessageInitShape<typeof AckLevelSchema>;
const replicated = (count: number): Ack => ({ kind: AckLevel_Kind.REPLICATED, count });
const durable: Ack = { kind: AckLevel_Kind.DURABLE };

/** Pins whose writes are durable at once, and whose levels are reached when the test says so. */
function slowLevels(more: Partial<Pins> = {}) {
  const waits: { level: AckLevel; keys: number; reach: (reached: LevelReached) => void }[] = [];
  let isReached: LevelReached | undefined;
  const pins = {
    checkReachable() {},
    isWaitingMuch: false,
    bulk: async (writes: readonly unknown[]): Promise<Outcome[]> =>
      writes.map((write) =>
        (write as { kind: string }).kind === 'invalid'
          ? { ok: false, error: new PinfoldError('INVALID_CID', 'no CID') }
          : { ok: true, pin: undefined, position: Buffer.from('p'), level: { kind: 'durable' }, unseenBy: [] },
      ),
    reach: (write: { keys: readonly unknown[] }, level: AckLevel) => {
      if (level.kind === 'durable') return Promise.resolve({ level, acknowledgedBy: ['self'] });
      if (isReached !== undefined) return Promise.resolve(isReached);
      return new Promise<LevelReached>((reach) => waits.push({ level, keys: write.keys.length, reach }));
    },
    ...more,
  } as unknown as Pins;
  return {
    pins,
    waits,
    reachAll(reached: LevelReached) {
      isReached = reached;
      for (const { reach } of waits.splice(0)) reach(reached);
    },
  };
}

function pin(i: number, ack?: Ack): MessageInitShape<typeof WriteOperationSchema> {
  return {
    operation: { case: 'pin', value: { cid: formatCid(testCid(i)), ...(ack === undefined ? {} : { ack }) } },
  };
}

function start(ack: Ack): WritePinsRequest {
  return create(WritePinsRequestSchema, { message: { case: 'start', value: { ack } } });
}

function batch(first: number, operations: MessageInitShape<typeof WriteOperationSchema>[]): WritePinsRequest {
  return create(WritePinsRequestSchema, { message: { case: 'batch', value: { first: BigInt(first), operations } } });
}

/** So many messages of one pin each; counts what was read. */
function messages(count: number, ack: Ack) {
  const read = { count: 0 };
  async function* requests() {
    yield start(ack);
    for (let i = 1; i <= count; i++) {
      read.count = i;
      yield batch(i, [pin(i)]);
    }
  }
  return { read, requests: requests() };
}

async function collect(responses: AsyncIterable<WritePinsResponse>) {
  const answers: WriteDecided[] = [];
  for await (const { message } of responses) {
    if (message.case === 'decided') answers.push(message.value);
  }
  return answers;
}

/** Until nothing happens any more: everything here is promises. */
async function settled(read: { count: number }): Promise<number> {
  for (let last = -1; last !== read.count; ) {
    last = read.count;
    for (let i = 0; i < 50; i++) await new Promise(setImmediate);
  }
  return read.count;
}

t.test('a level that is not reached yet does not hold up the stream', async (t) => {
  const { pins, reachAll } = slowLevels();
  const count = 10 * bulkMessagesInFlightMax;
  const { read, requests } = messages(count, replicated(3));
  const answers = collect(writePins(pins, requests, anyone()));
  t.equal(await settled(read), count, 'all were read, none is answered');
  reachAll({ level: { kind: 'replicated', count: 2 }, acknowledgedBy: ['a', 'b'] });
  const decided = await answers;
  t.same(
    decided.map(({ first }) => Number(first)),
    Array.from({ length: count }, (_, i) => i + 1),
    'in order',
  );
  t.match(decided[0], { level: replicated(2), acknowledgedBy: ['a', 'b'] });
});

t.test('what waits for a level is bounded: at the limit no more is read', async (t) => {
  const { pins, reachAll } = slowLevels();
  const { read, requests } = messages(bulkWaitsMax + 500, replicated(3));
  const answers = collect(writePins(pins, requests, anyone()));
  const held = await settled(read);
  t.ok(held >= bulkWaitsMax && held <= bulkWaitsMax + bulkMessagesInFlightMax, `${held} were read`);
  reachAll({ level: { kind: 'replicated', count: 3 }, acknowledgedBy: [] });
  t.equal((await answers).length, bulkWaitsMax + 500);
});

t.test('much that waits elsewhere on the peer holds back streams that wait, and no others', async (t) => {
  const { pins, reachAll } = slowLevels({ isWaitingMuch: true });
  const plain = messages(200, durable);
  t.equal((await collect(writePins(pins, plain.requests, anyone()))).length, 200);
  const { read, requests } = messages(200, replicated(3));
  const answers = collect(writePins(pins, requests, anyone()));
  t.ok((await settled(read)) <= bulkMessagesInFlightMax, `${read.count} were read`);
  reachAll({ level: { kind: 'replicated', count: 3 }, acknowledgedBy: [] });
  t.equal((await answers).length, 200);
});

t.test('each operation may ask for a level of its own: what asks for the same is answered together', async (t) => {
  const { pins, waits, reachAll } = slowLevels();
  const unpin = {
    operation: { case: 'unpin' as const, value: { cid: formatCid(testCid('u')) } },
  };
  async function* requests() {
    yield start({ kind: AckLevel_Kind.PINNED, count: 2 });
    yield batch(1, [
      pin(1),
      pin(2),
      pin(3, replicated(2)),
      { operation: { case: 'pin', value: { cid: 'no CID' } } },
      pin(5, replicated(2)),
      unpin,
      pin(7),
    ]);
  }
  const answers = collect(writePins(pins, requests(), anyone()));
  await settled({ count: 0 });
  t.same(
    waits.map(({ level, keys }) => [level, keys]),
    [
      [{ kind: 'pinned', count: 2 }, 2],
      [{ kind: 'replicated', count: 2 }, 0],
      [{ kind: 'pinned', count: 2 }, 1],
    ],
  );
  reachAll({ level: { kind: 'durable' }, acknowledgedBy: ['self'] });
  const decided = await answers;
  t.same(
    decided.map(({ first, last, failures }) => [Number(first), Number(last), failures.map(({ number }) => number)]),
    [
      [1, 2, []],
      [3, 5, [4n]],
      [6, 6, []],
      [7, 7, []],
    ],
  );
  t.ok(decided.every(({ level }) => level?.kind === AckLevel_Kind.DURABLE));
});
