import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import t from 'tap';
import { AckLevel_Kind } from '../../../gen/pinfold/v1/pin_pb.ts';
import {
  WriteOperationSchema,
  type WritePinsRequest,
  type WritePinsResponse,
  WritePinsResponseSchema,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { type BulkOperation, writeInBulk } from '../../../src/cli/bulk.ts';
import type { Clients } from '../../../src/cli/client.ts';

type Script = (requests: AsyncIterator<WritePinsRequest>) => AsyncGenerator<WritePinsResponse>;

const started = (decided: number) =>
  create(WritePinsResponseSchema, { message: { case: 'started', value: { decided: BigInt(decided) } } });
const decided = (first: number, last: number, failed: number[] = []) =>
  create(WritePinsResponseSchema, {
    message: {
      case: 'decided',
      value: {
        first: BigInt(first),
        last: BigInt(last),
        failures: failed.map((number) => ({ number: BigInt(number), reason: 'INVALID_CID', message: 'no' })),
      },
    },
  });
const cut = () => new ConnectError('cut', Code.Unavailable);

/** A daemon that behaves as scripted, one script a connection; and what it was sent. */
function daemon(scripts: Script[], pinned: ReadonlySet<string> = new Set()) {
  const batches: string[][] = [];
  const keys: string[] = [];
  const clients = {
    pins: {
      writePins(requests: AsyncIterable<WritePinsRequest>) {
        const seen: string[] = [];
        batches.push(seen);
        const inner = requests[Symbol.asyncIterator]();
        const recorded: AsyncIterator<WritePinsRequest> = {
          async next() {
            const next = await inner.next();
            if (next.done !== true && next.value.message.case === 'start')
              keys.push(next.value.message.value.streamKey);
            if (next.done !== true && next.value.message.case === 'batch') {
              const { first, operations } = next.value.message.value;
              seen.push(`${first}+${operations.length}`);
            }
            return next;
          },
        };
        const script = scripts.shift();
        if (script === undefined) throw new Error('one connection too many');
        return script(recorded);
      },
      async getPin({ cid }: { cid: string }) {
        if (!pinned.has(cid)) throw new ConnectError('none', Code.NotFound);
        return {};
      },
    },
  } as unknown as Clients;
  return { clients, batches, keys };
}

async function* operations(count: number, kind: 'pin' | 'unpin' = 'pin', name = ''): AsyncGenerator<BulkOperation> {
  for (let i = 1; i <= count; i++) {
    const cid = `cid${i}`;
    const operation =
      kind === 'pin' ? { case: kind, value: { cid, options: { name } } } : { case: kind, value: { cid } };
    yield { cid, operation: create(WriteOperationSchema, { operation }) };
  }
}

async function results(clients: Clients, source: AsyncIterable<BulkOperation>): Promise<string[]> {
  const found: string[] = [];
  for await (const { cid, failure } of writeInBulk(clients, source)) found.push(`${cid} ${failure?.reason ?? 'ok'}`);
  return found;
}

/** Takes everything and answers each batch. */
const obedient: Script = async function* (requests) {
  await requests.next();
  yield started(0);
  yield* answered(requests);
};

async function* answered(requests: AsyncIterator<WritePinsRequest>): AsyncGenerator<WritePinsResponse> {
  for (let next = await requests.next(); next.done !== true; next = await requests.next()) {
    if (next.value.message.case !== 'batch') throw new Error('a batch was expected');
    const { first, operations: taken } = next.value.message.value;
    yield decided(Number(first), Number(first) + taken.length - 1, Number(first) === 1 ? [2] : []);
  }
}

t.test('everything is sent, numbered, and each is told what became of it', async (t) => {
  const { clients, batches, keys } = daemon([obedient]);
  const found = await results(clients, operations(1_200));
  t.equal(found.length, 1_200);
  t.strictSame(found.slice(0, 3), ['cid1 ok', 'cid2 INVALID_CID', 'cid3 ok']);
  t.strictSame(batches, [['1+500', '501+500', '1001+200']]);
  t.match(keys[0], /^[0-9a-f]{32}$/);
});

t.test('a level is asked for at the start of each connection, and told with each operation', async (t) => {
  const ack = { kind: AckLevel_Kind.REPLICATED, count: 3 };
  const asked: unknown[] = [];
  const level = { kind: AckLevel_Kind.REPLICATED, count: 2 };
  const levelled: Script = async function* (requests) {
    const start = await requests.next();
    if (start.value.message.case === 'start') asked.push(start.value.message.value.ack);
    yield started(asked.length === 1 ? 0 : 2);
    await requests.next();
    if (asked.length === 1) {
      const value = { first: 1n, last: 1n, level, acknowledgedBy: ['a', 'b'] };
      yield create(WritePinsResponseSchema, { message: { case: 'decided', value } });
      throw cut();
    }
  };
  const { clients } = daemon([levelled, levelled], new Set(['cid2']));
  const found = [];
  for await (const each of writeInBulk(clients, operations(2), ack)) found.push(each);
  t.match(asked, [ack, ack]);
  t.match(found, [
    { cid: 'cid1', level, acknowledgedBy: ['a', 'b'] },
    { cid: 'cid2', failure: undefined, level: undefined, acknowledgedBy: [] },
  ]);
});

t.test('nothing to do is no failure', async (t) => {
  t.strictSame(await results(daemon([obedient]).clients, operations(0)), []);
});

t.test('large operations make small messages', async (t) => {
  const { clients, batches } = daemon([obedient]);
  await results(clients, operations(200, 'pin', 'x'.repeat(16_000)));
  t.ok((batches[0]?.length ?? 0) > 5, String(batches));
});

t.test('after a cut it goes on where the daemon says', async (t) => {
  const cutting: Script = async function* (requests) {
    await requests.next();
    yield started(0);
    await requests.next();
    yield decided(1, 500);
    await requests.next();
    throw cut();
  };
  const resuming: Script = async function* (requests) {
    await requests.next();
    yield started(500);
    yield* answered(requests);
  };
  const { clients, batches, keys } = daemon([cutting, resuming]);
  const found = await results(clients, operations(1_200));
  t.strictSame(
    found,
    Array.from({ length: 1_200 }, (_, i) => `cid${i + 1} ok`),
  );
  t.strictSame(batches[1], ['501+500', '1001+200']);
  t.equal(keys[0], keys[1]);
});

t.test('an answer lost in a cut is no success by itself: the pinset tells', async (t) => {
  const losing: Script = async function* (requests) {
    await requests.next();
    yield started(0);
    await requests.next();
    throw cut();
  };
  const after: Script = async function* (requests) {
    await requests.next();
    yield started(3);
    yield* answered(requests);
  };
  const pins = daemon([losing, after], new Set(['cid1', 'cid3']));
  t.strictSame(await results(pins.clients, operations(4)), ['cid1 ok', 'cid2 ANSWER_LOST', 'cid3 ok', 'cid4 ok']);
  const unpins = daemon([losing, after], new Set(['cid1', 'cid3']));
  t.strictSame(await results(unpins.clients, operations(4, 'unpin')), [
    'cid1 ANSWER_LOST',
    'cid2 ok',
    'cid3 ANSWER_LOST',
    'cid4 ok',
  ]);
});

t.test('what is read while the stream is cut is sent on the next', async (t) => {
  let readOn = () => {};
  const held = new Promise<void>((resolve) => {
    readOn = resolve;
  });
  async function* slow(): AsyncGenerator<BulkOperation> {
    yield* operations(500);
    await held;
    for await (const { cid, operation } of operations(10)) yield { cid: `late ${cid}`, operation };
  }
  const cutting: Script = async function* (requests) {
    await requests.next();
    yield started(0);
    await requests.next();
    yield decided(1, 500);
    // It is asked for more, waits for its source, and is cut meanwhile.
    requests.next().catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
    throw cut();
  };
  const resuming: Script = async function* (requests) {
    await requests.next();
    readOn();
    yield started(500);
    yield* answered(requests);
  };
  const found = await results(daemon([cutting, resuming]).clients, slow());
  t.equal(found.length, 510);
  t.strictSame(found.slice(-1), ['late cid10 ok']);
});

t.test('a daemon that was never there, and failures that are none of a connection, end it at once', async (t) => {
  // biome-ignore lint/correctness/useYield: it fails before it answers
  const absent: Script = async function* () {
    throw cut();
  };
  await t.rejects(results(daemon([absent]).clients, operations(1)), { code: Code.Unavailable });
  const refusing: Script = async function* (requests) {
    await requests.next();
    yield started(0);
    throw new ConnectError('follower', Code.FailedPrecondition);
  };
  await t.rejects(results(daemon([refusing]).clients, operations(1)), { code: Code.FailedPrecondition });
});
