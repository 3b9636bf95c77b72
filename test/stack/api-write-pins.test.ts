import { connect } from 'node:http2';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import t from 'tap';
import { AckLevel_Kind } from '../../gen/pinfold/v1/pin_pb.ts';
import {
  PinService,
  type WriteOperationSchema,
  type WritePinsRequest,
  WritePinsRequestSchema,
  type WritePinsResponse,
} from '../../gen/pinfold/v1/pin_service_pb.ts';
import { bulkMessagesInFlightMax } from '../../src/api/constants.ts';
import { formatCid } from '../../src/model/cid.ts';
import { PinfoldError } from '../../src/model/errors.ts';
import { anyone, apiPeer, writeService } from '../support/api-peer.ts';
import { testCid } from '../support/crdt-peers.ts';
import { detailsOf, eventually, failureOf, GrpcClient, openDoors } from '../support/doors.ts';

const { writePins } = PinService.method;
const { peer, pins, stop } = await apiPeer();
let slow: Promise<void> | undefined;
let failing: Error | undefined;
let calls = 0;
/** Answers at once, at length. */
let instant = false;
const held: typeof pins = {
  ...pins,
  async bulk(...args) {
    calls++;
    if (instant) return args[0].map(() => ({ ok: false, error: new PinfoldError('INVALID_CID', 'x'.repeat(1_000)) }));
    await slow;
    if (failing !== undefined) throw failing;
    return pins.bulk(...args);
  },
};
const doors = await openDoors([writeService(held)]);
const grpc = new GrpcClient(doors.grpcHost);

type Bulk = ClientDuplexStream<WritePinsRequest, WritePinsResponse>;
type Operation = MessageInitShape<typeof WriteOperationSchema>;

const start = (streamKey = '') => create(WritePinsRequestSchema, { message: { case: 'start', value: { streamKey } } });
const batch = (first: number, operations: Operation[]) =>
  create(WritePinsRequestSchema, { message: { case: 'batch', value: { first: BigInt(first), operations } } });
const pin = (name: string): Operation => ({
  operation: { case: 'pin', value: { cid: formatCid(testCid(name)), options: { name } } },
});
const bad: Operation = { operation: { case: 'pin', value: { cid: 'nonsense' } } };

/** All answers as short texts, and the failure at the end. */
async function answersOf(
  stream: Bulk,
): Promise<{ answers: string[]; error: (Error & { code?: unknown }) | undefined }> {
  const answers: string[] = [];
  try {
    for await (const { message } of stream as AsyncIterable<WritePinsResponse>) {
      if (message.case === 'started') answers.push(`started ${message.value.decided}`);
      if (message.case === 'decided') {
        const { first, last, failures } = message.value;
        const failed = failures.map(({ number, reason }) => `${number} ${reason}`).join(', ');
        answers.push(`${first}-${last}${failed === '' ? '' : ` but ${failed}`}`);
      }
    }
    return { answers, error: undefined };
  } catch (error) {
    return { answers, error: error as Error };
  }
}

function send(...requests: WritePinsRequest[]): Bulk {
  const stream = grpc.bidi(writePins);
  for (const request of requests) stream.write(request);
  return stream;
}

function sendAll(...requests: WritePinsRequest[]) {
  const stream = send(...requests);
  stream.end();
  return answersOf(stream);
}

const isPinned = (name: string) => {
  try {
    pins.get(testCid(name), 'default', anyone());
    return true;
  } catch {
    return false;
  }
};

t.test('answers come in order and by number; an operation that cannot be read keeps its number', async (t) => {
  const { answers, error } = await sendAll(
    start(),
    batch(1, [pin('a1'), bad, pin('a3')]),
    batch(4, [{ operation: { case: 'unpin', value: { cid: formatCid(testCid('missing')) } } }, {}]),
    batch(6, [pin('a6')]),
  );
  t.equal(error, undefined);
  t.strictSame(answers, ['started 0', '1-3 but 2 INVALID_CID', '4-5 but 4 PIN_NOT_FOUND, 5 INVALID_ARGUMENT', '6-6']);
  t.ok(isPinned('a1') && isPinned('a3') && isPinned('a6'));
});

t.test('a gap is refused after what came before it is answered', async (t) => {
  const { answers, error } = await sendAll(
    start(),
    batch(1, [pin('b1')]),
    batch(3, [pin('b3')]),
    batch(2, [pin('b2')]),
  );
  t.strictSame(answers, ['started 0', '1-1']);
  t.equal(error?.code, 3);
  t.equal(detailsOf(error).info?.reason, 'STREAM_GAP');
  t.match(detailsOf(error).badRequest?.fieldViolations, [{ field: 'batch.first' }]);
  t.notOk(isPinned('b3') || isPinned('b2'));
});

t.test('number 0, a second start, no start, and nothing at all', async (t) => {
  t.equal(detailsOf((await sendAll(start(), batch(0, [pin('c')]))).error).info?.reason, 'STREAM_GAP');
  t.match((await sendAll(start(), start())).error, { code: 3, details: /batch/ });
  t.match((await sendAll(batch(1, [pin('c')]))).error, { code: 3, details: /start/ });
  t.match((await sendAll()).error, { code: 3, details: /start/ });
  t.match((await sendAll(start('k'.repeat(257)))).error, { code: 3, details: /at most 256 bytes/ });
  t.strictSame(await sendAll(start()), { answers: ['started 0'], error: undefined });
  const many = Array.from({ length: 5_001 }, () => bad);
  t.match((await sendAll(start(), batch(1, many))).error, { code: 3, details: /at most 5000 a message/ });
});

t.test('a stream is taken up again by its key; what is decided is skipped', async (t) => {
  t.strictSame((await sendAll(start('resume'), batch(1, [pin('d1'), pin('d2')]))).answers, ['started 0', '1-2']);
  const again = await sendAll(start('resume'), batch(1, [pin('d1'), pin('d2'), pin('d3')]), batch(4, [pin('d4')]));
  t.strictSame(again, { answers: ['started 2', '3-3', '4-4'], error: undefined });
  const gap = await sendAll(start('resume'), batch(6, [pin('d6')]));
  t.equal(detailsOf(gap.error).info?.reason, 'STREAM_GAP');
  t.strictSame((await sendAll(start('another'))).answers, ['started 0']);
});

t.test('a client cut in the middle leaves what was decided, and can go on', async (t) => {
  const first = new GrpcClient(doors.grpcHost);
  const stream = first.bidi(writePins);
  stream.on('error', () => {});
  stream.write(start('cut'));
  stream.write(batch(1, [pin('e1')]));
  const answered: string[] = [];
  stream.on('data', ({ message }: WritePinsResponse) => answered.push(String(message.case)));
  await eventually('the batch is answered', () => answered.includes('decided'));
  stream.cancel();
  first.close();
  t.strictSame(await sendAll(start('cut'), batch(2, [pin('e2')])), { answers: ['started 1', '2-2'], error: undefined });
});

t.test('a client that half-closes gets all its answers', async (t) => {
  let release = () => {};
  slow = new Promise((resolve) => {
    release = resolve;
  });
  calls = 0;
  const stream = send(start(), ...[1, 2, 3, 4, 5, 6].map((n) => batch(n, [pin(`f${n}`)])));
  stream.end();
  const answers = answersOf(stream);
  await eventually('all batches are under way', () => calls === 6);
  release();
  slow = undefined;
  t.strictSame(await answers, { answers: ['started 0', '1-1', '2-2', '3-3', '4-4', '5-5', '6-6'], error: undefined });
});

t.test('no more than a few batches are read ahead of their answers', async (t) => {
  let release = () => {};
  slow = new Promise((resolve) => {
    release = resolve;
  });
  calls = 0;
  const stream = send(start(), ...Array.from({ length: 200 }, (_, i) => batch(i + 1, [pin(`g${i}`)])));
  const answers = answersOf(stream);
  await eventually('as many as may be are under way', () => calls === bulkMessagesInFlightMax);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(calls, bulkMessagesInFlightMax);
  release();
  slow = undefined;
  stream.end();
  t.equal((await answers).answers.length, 201);
});

t.test('a client that never reads is held back', async (t) => {
  // Not with grpc-js, which reads ahead without end.
  const session = connect(`http://${doors.grpcHost}`);
  const head = { ':method': 'POST', ':path': '/pinfold.v1.PinService/WritePins' };
  const stream = session.request({ ...head, 'content-type': 'application/grpc', te: 'trailers' });
  stream.on('error', () => {});
  stream.pause();
  instant = true;
  calls = 0;
  stream.write(enveloped(start()));
  const operations = Array.from({ length: 10 }, () => bad);
  let sent = 0;
  let rests = 0;
  let last = -1;
  await eventually('the client has to wait, and the daemon rests', () => {
    while (!stream.writableNeedDrain && sent < 5_000) stream.write(enveloped(batch(1 + 10 * sent++, operations)));
    rests = calls === last && stream.writableNeedDrain ? rests + 1 : 0;
    last = calls;
    return rests >= 10;
  });
  t.ok(calls < sent && sent < 5_000, `${calls} of ${sent}`);
  instant = false;
  session.destroy();
});

function enveloped(request: WritePinsRequest): Buffer {
  const bytes = toBinary(WritePinsRequestSchema, request);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

t.test('the failure of a write reaches a client that goes on sending nothing', async (t) => {
  failing = new PinfoldError('STORAGE_FAILED', 'the disk is gone');
  const stream = send(start(), batch(1, [pin('h')]));
  const { answers, error } = await answersOf(stream);
  failing = undefined;
  t.strictSame(answers, ['started 0']);
  t.equal(detailsOf(error).info?.reason, 'STORAGE_FAILED');
});

t.test('a level that no write can reach is refused', async (t) => {
  const stream = send(
    create(WritePinsRequestSchema, { message: { case: 'start', value: { ack: { kind: 3, count: 2 } } } }),
    batch(1, [pin('i')]),
  );
  const { error } = await answersOf(stream);
  t.match(detailsOf(error).info, { reason: 'LEVEL_UNREACHABLE', metadata: { peers: '1' } });
});

t.test('one write is a call of its own, and idempotent by its key', async (t) => {
  const request = { cid: formatCid(testCid('single')), idempotencyKey: 'once' };
  const first = await grpc.unary(PinService.method.pin, request);
  const again = await grpc.unary(PinService.method.pin, request);
  t.strictSame(again.position, first.position);
  const other = await failureOf(grpc.unary(PinService.method.pin, { ...request, options: { name: 'x' } }));
  t.equal(detailsOf(other).info?.reason, 'IDEMPOTENCY_MISMATCH');
  const level = { kind: AckLevel_Kind.REPLICATED, count: 1 };
  const higher = await grpc.unary(PinService.method.pin, { ...request, ack: level });
  t.strictSame(higher.position, first.position, 'another level is no other write: it is waited for the first');
  t.match(higher, { level, acknowledgedBy: [peer.peerId] });
  const on = await grpc.unary(PinService.method.waitLevel, { position: first.position, level });
  t.match(on, { level, acknowledgedBy: [peer.peerId] });
  const rubbish = await failureOf(grpc.unary(PinService.method.waitLevel, { position: Buffer.from('x'), level }));
  t.equal(detailsOf(rubbish).info?.reason, 'INVALID_TOKEN');
  const { pin: removed } = await grpc.unary(PinService.method.unpin, { cid: request.cid });
  t.equal(removed?.cid, request.cid);
  const gone = await failureOf(grpc.unary(PinService.method.unpin, { cid: request.cid }));
  t.equal(gone.code, 5);
  t.equal(detailsOf(gone).info?.reason, 'PIN_NOT_FOUND');
});

t.test('the doors close', async (t) => {
  grpc.close();
  await doors.stop();
  await stop();
  t.strictSame(doors.errors, [], 'nothing failed unexpectedly');
  t.ok(peer.pinset.count() > 0);
});
