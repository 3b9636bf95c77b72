import { Agent } from 'node:http';
import { connect } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { type Client, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from '@connectrpc/connect-node';
import t, { type Test } from 'tap';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { GetPinResponseSchema, ListPinsResponseSchema, PinService } from '../../gen/pinfold/v1/pin_service_pb.ts';
import type { CallContext } from '../../src/model/call-context.ts';
import { PinfoldError } from '../../src/model/errors.ts';
import { detailsOf, eventually, failureOf, GrpcClient, openDoors } from '../support/doors.ts';
import { pinServiceWith } from '../support/pin-handlers.ts';

const { getPin, listPins, writePins, watchPins } = PinService.method;
const never = new Promise<never>(() => {});

const detailed = new PinfoldError('LIMIT_REACHED', 'too many – später wieder', {
  fields: [{ field: 'options.name', problem: 'is long' }],
  retryAfterMs: 1_500,
  facts: { limit: '7' },
});

let seen: CallContext | undefined;
let produced = 0;
let handlerEnded = false;

const doors = await openDoors([
  pinServiceWith({
    async getPin({ cid, namespace }, call) {
      seen = call;
      switch (cid) {
        case 'fails':
          throw detailed;
        case 'defect':
          throw new TypeError('the inside of the daemon');
        case 'hangs':
          return never;
        case 'half':
          throw new PinfoldError('INVALID_CID', `"\ud83d" is not a CID\r\nx: y`);
        case 'long':
          throw new PinfoldError('INVALID_CID', 'x'.repeat(100_000), {
            fields: [{ field: 'cid', problem: 'y'.repeat(50_000) }],
          });
        case 'large':
          return create(GetPinResponseSchema, { pin: { cid: 'x'.repeat(4 * 1024 * 1024) } });
        default:
          return create(GetPinResponseSchema, { pin: { cid, namespace } });
      }
    },
    async *listPins({ pageSize }, call) {
      seen = call;
      handlerEnded = false;
      try {
        for (let i = 0; i < pageSize; i++) {
          produced++;
          yield create(ListPinsResponseSchema, { pins: [{ cid: 'x'.repeat(100_000) }] });
        }
        throw detailed;
      } finally {
        handlerEnded = true;
      }
    },
    async *watchPins(_request, call) {
      seen = call;
      yield { $typeName: 'pinfold.v1.WatchPinsResponse', events: [], resumeToken: new Uint8Array(), caughtUp: true };
      await never;
    },
    // biome-ignore lint/correctness/useYield: it answers nothing but its end
    async *writePins(requests, call) {
      seen = call;
      for await (const { message } of requests) {
        if (message.case === 'start' && message.value.streamKey === 'fails') throw detailed;
        if (message.case === 'start' && message.value.streamKey === 'hangs') await never;
      }
    },
  }),
]);
const grpc = new GrpcClient(doors.grpcHost);

const agent = new Agent({ keepAlive: true });
const sessions = new Http2SessionManager(`http://${doors.grpcHost}`);
const http1 = { baseUrl: doors.httpUrl, httpVersion: '1.1', nodeOptions: { agent } } as const;
const transports: Record<string, Transport> = {
  'Connect (JSON)': createConnectTransport({ ...http1, useBinaryFormat: false }),
  'Connect (binary)': createConnectTransport({ ...http1, useBinaryFormat: true }),
  'gRPC-Web': createGrpcWebTransport(http1),
  'gRPC by connect-node': createGrpcTransport({ baseUrl: `http://${doors.grpcHost}`, sessionManager: sessions }),
};
const clients = Object.entries(transports).map(
  ([name, transport]) => [name, createClient(PinService, transport)] as [string, Client<typeof PinService>],
);

const lastSeen = () => seen as CallContext;

async function drain(stream: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of stream) count++;
  return count;
}

t.test('gRPC: errors carry ErrorInfo, BadRequest and RetryInfo', async (t) => {
  const calls = {
    unary: () => grpc.unary(getPin, { cid: 'fails' }),
    'server stream': () => drain(grpc.serverStream(listPins, { pageSize: 1 })),
    'bidi stream': async () => {
      const stream = grpc.bidi(writePins);
      stream.write({
        $typeName: 'pinfold.v1.WritePinsRequest',
        message: { case: 'start', value: { $typeName: 'pinfold.v1.WriteStart', streamKey: 'fails' } },
      });
      return drain(stream);
    },
  };
  for (const [name, call] of Object.entries(calls)) {
    const error = await failureOf(call());
    t.match(error, { code: 8, details: 'too many – später wieder' }, name);
    const { info, badRequest, retry } = detailsOf(error);
    t.match(info, { reason: 'LIMIT_REACHED', domain: 'pinfold', metadata: { limit: '7' } }, name);
    t.match(badRequest?.fieldViolations, [{ field: 'options.name', description: 'is long' }], name);
    t.match(retry?.retryDelay, { seconds: 1n, nanos: 500_000_000 }, name);
  }
});

for (const [name, client] of clients) {
  t.test(`${name}: errors carry ErrorInfo, BadRequest and RetryInfo`, async (t) => {
    for (const call of [() => client.getPin({ cid: 'fails' }), () => drain(client.listPins({ pageSize: 1 }))]) {
      const error = ConnectError.from(await failureOf(call()));
      t.equal(error.code, Code.ResourceExhausted);
      t.equal(error.rawMessage, 'too many – später wieder');
      t.match(error.findDetails(ErrorInfoSchema), [{ reason: 'LIMIT_REACHED', metadata: { limit: '7' } }]);
      t.match(error.findDetails(BadRequestSchema), [{ fieldViolations: [{ field: 'options.name' }] }]);
      t.match(error.findDetails(RetryInfoSchema), [{ retryDelay: { seconds: 1n } }]);
    }
  });

  t.test(`${name}: the inside of a defect stays inside, and is logged`, async (t) => {
    const before = doors.errors.length;
    const error = ConnectError.from(await failureOf(client.getPin({ cid: 'defect' })));
    t.equal(error.code, Code.Internal);
    t.notMatch(error.message, /inside of the daemon/);
    t.match(error.findDetails(ErrorInfoSchema), [{ reason: 'INTERNAL' }]);
    t.match(doors.errors.slice(before), [{ method: 'PinService/GetPin', error: /inside of the daemon/ }]);
  });

  t.test(`${name}: texts that quote the client do no harm`, async (t) => {
    const half = ConnectError.from(await failureOf(client.getPin({ cid: 'half' })));
    t.equal(half.code, Code.InvalidArgument);
    const long = ConnectError.from(await failureOf(client.getPin({ cid: 'long' })));
    t.equal(long.code, Code.InvalidArgument);
    t.ok(long.rawMessage.length <= 2_000);
    t.match(long.findDetails(ErrorInfoSchema), [{ reason: 'INVALID_CID' }]);
    t.match(await client.getPin({ cid: 'after' }), { pin: { cid: 'after' } });
  });

  t.test(`${name}: the deadline ends a handler that never does`, async (t) => {
    const unary = ConnectError.from(await failureOf(client.getPin({ cid: 'hangs' }, { timeoutMs: 100 })));
    t.equal(unary.code, Code.DeadlineExceeded);
    const unarySignal = seen?.signal;
    await eventually('the handler of the unary call hears of it', () => unarySignal?.aborted === true);
    const stream = ConnectError.from(await failureOf(drain(client.watchPins({}, { timeoutMs: 100 }))));
    t.equal(stream.code, Code.DeadlineExceeded);
    const signal = seen?.signal;
    await eventually('the handler of the stream hears of it', () => signal?.aborted === true);
  });

  t.test(`${name}: cancellation reaches the handler`, async (t) => {
    const abort = new AbortController();
    const unary = failureOf(client.getPin({ cid: 'hangs', namespace: name }, { signal: abort.signal }));
    seen = undefined;
    await eventually('the call is there', () => seen !== undefined);
    const call = lastSeen();
    abort.abort();
    t.equal(ConnectError.from(await unary).code, Code.Canceled);
    await eventually('the handler hears of it', () => call.signal.aborted);
    t.match(call.signal.reason, { code: 'CANCELLED' });

    const abortStream = new AbortController();
    for await (const _ of client.watchPins({}, { signal: abortStream.signal })) break;
    const streamCall = lastSeen();
    abortStream.abort();
    await eventually('the handler of the stream hears of it', () => streamCall.signal.aborted);
    t.match(streamCall.signal.reason, { code: 'CANCELLED' });
  });

  t.test(`${name}: an answer above the limit is a typed error`, async (t) => {
    const error = ConnectError.from(await failureOf(client.getPin({ cid: 'large' })));
    t.equal(error.code, Code.ResourceExhausted);
  });

  t.test(`${name}: a request above the limit is refused`, async (t) => {
    const error = ConnectError.from(await failureOf(client.getPin({ cid: 'y'.repeat(5 * 1024 * 1024) })));
    t.ok([Code.ResourceExhausted, Code.Unknown, Code.Unavailable, Code.Aborted].includes(error.code), String(error));
    // A client may use the connection once more that the daemon is just closing; it does not hang there.
    const after = () => client.getPin({ cid: 'after' }, { timeoutMs: 5_000 });
    t.match(await after().catch(after), { pin: { cid: 'after' } });
  });
}

async function restsBelow(t: Test, most: number): Promise<void> {
  let last = -1;
  let rests = 0;
  await eventually('the handler rests', () => {
    rests = produced === last ? rests + 1 : 0;
    last = produced;
    return rests >= 10;
  });
  t.ok(produced > 0 && produced < most, `${produced} of 5,000 messages of 100 kB were made`);
}

t.test('HTTP: a reader that stops holds the handler back', async (t) => {
  produced = 0;
  const socket = connect(doors.httpPort, '127.0.0.1');
  socket.pause();
  const body = Buffer.concat([Buffer.of(0, 0, 0, 0, 17), Buffer.from('{"pageSize":5000}')]);
  const type = 'Content-Type: application/connect+json\r\n';
  const path = '/pinfold.v1.PinService/ListPins';
  socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\n${type}Content-Length: ${body.length}\r\n\r\n`);
  socket.write(body);
  await restsBelow(t, 500);
  t.notOk(handlerEnded);
  socket.destroy();
  await eventually('the handler is left', () => handlerEnded);
});

t.test('gRPC: a reader that stops holds the handler back', async (t) => {
  produced = 0;
  const stream = grpc.serverStream(listPins, { pageSize: 5_000 });
  stream.on('error', () => {});
  await new Promise((resolve) => stream.once('readable', resolve));
  await restsBelow(t, 500);
  t.notOk(handlerEnded);
  stream.cancel();
  await eventually('the handler is left', () => handlerEnded);
});

t.test('Connect: a deadline that only the daemon keeps', async (t) => {
  const headers = { 'content-type': 'application/json', 'connect-timeout-ms': '100' };
  const url = `${doors.httpUrl}/pinfold.v1.PinService/GetPin`;
  const response = await fetch(url, { method: 'POST', headers, body: '{"cid":"hangs"}' });
  t.equal(response.status, 504);
  t.match(await response.json(), { code: 'deadline_exceeded', details: [{ type: 'google.rpc.ErrorInfo' }] });
  t.match(seen?.signal.reason, { code: 'DEADLINE' });
});

t.test('gRPC: deadlines and cancellation as grpc-js clients send them', async (t) => {
  const late = await failureOf(grpc.unary(getPin, { cid: 'hangs' }, { deadline: Date.now() + 100 }));
  t.equal(late.code, 4);
  const stream = grpc.serverStream(watchPins, {});
  await new Promise((resolve) => stream.once('data', resolve));
  const call = lastSeen();
  stream.on('error', () => {});
  stream.cancel();
  await eventually('the handler hears of it', () => call.signal.aborted);
  t.match(call.signal.reason, { code: 'CANCELLED' });
});

t.test('gRPC: a handler of a bidi stream that hangs is ended by the deadline', async (t) => {
  const stream = grpc.bidi(writePins, { deadline: Date.now() + 100 });
  stream.write({
    $typeName: 'pinfold.v1.WritePinsRequest',
    message: { case: 'start', value: { $typeName: 'pinfold.v1.WriteStart', streamKey: 'hangs' } },
  });
  t.equal((await failureOf(drain(stream))).code, 4);
});

t.test('gRPC: bytes that are no message are a typed error, and counted', async (t) => {
  const error = await failureOf(grpc.raw('/pinfold.v1.PinService/GetPin', Uint8Array.of(0x0a, 0xff, 0xff)));
  t.equal(error.code, 3);
  t.equal(detailsOf(error).info?.reason, 'INVALID_ARGUMENT');
  t.ok(doors.counted.includes('PinService/GetPin INVALID_ARGUMENT'));
  const badText = await failureOf(grpc.raw('/pinfold.v1.PinService/GetPin', Uint8Array.of(0x12, 2, 0xc3, 0x28)));
  t.equal(badText.code, 3, 'text that is no UTF-8');
  t.match(await grpc.unary(getPin, { cid: 'after' }), { pin: { cid: 'after' } });
});

t.test('gRPC: an answer above the limit has its details', async (t) => {
  const error = await failureOf(grpc.unary(getPin, { cid: 'large' }));
  t.equal(error.code, 8);
  t.equal(detailsOf(error).info?.reason, 'LIMIT_REACHED');
});

t.test('every call is counted once, with its end', async (t) => {
  doors.counted.length = 0;
  await grpc.unary(getPin, { cid: 'a' });
  await failureOf(grpc.unary(getPin, { cid: 'fails' }));
  await failureOf(drain(grpc.serverStream(listPins, { pageSize: 1 })));
  for (const [name, client] of clients.slice(0, 3)) {
    await client.getPin({ cid: name });
    await failureOf(drain(client.listPins({ pageSize: 1 })));
  }
  await eventually('all are counted', () => doors.counted.length >= 9);
  t.strictSame(
    doors.counted.sort(),
    [
      ...Array(4).fill('PinService/GetPin OK'),
      'PinService/GetPin LIMIT_REACHED',
      ...Array(4).fill('PinService/ListPins LIMIT_REACHED'),
    ].sort(),
  );
});

t.test('the doors close', async (t) => {
  grpc.close();
  sessions.abort();
  await doors.stop();
  t.match(
    ConnectError.from(await failureOf(createClient(PinService, transports['gRPC-Web'] as Transport).getPin({}))),
    {
      rawMessage: /ECONNREFUSED|EPIPE|hang up|ECONNRESET/,
    },
  );
});
