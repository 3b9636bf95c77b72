import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { create } from '@bufbuild/protobuf';
import t, { type Test } from 'tap';
import {
  type AddRequest,
  AddRequestSchema,
  GetPinResponseSchema,
  PinService,
  WatchPinsResponseSchema,
} from '../../gen/pinfold/v1/pin_service_pb.ts';
import type { Mounted } from '../../src/api/handlers.ts';
import { add } from '../../src/api/services/add.ts';
import type { AddedContent } from '../../src/cluster/adding/add.ts';
import { eventually, GrpcClient, openDoors } from '../support/doors.ts';
import { pinServiceWith } from '../support/pin-handlers.ts';

/** What became of each Add: the bytes that a handler took for whole, or why not. */
const adds: string[] = [];

const services: Mounted[] = [
  pinServiceWith({
    getPin: async ({ cid }) => create(GetPinResponseSchema, { pin: { cid } }),
    add: (requests, call) => add(collect, requests as AsyncIterable<AddRequest>, call),
  }),
];
/** Entries that a handler has come to. */
let begun = 0;

async function* collect(_start: unknown, content: AddedContent) {
  let bytes = 0;
  try {
    const entries = content.kind === 'files' ? content.entries : [{ content: content.bytes }];
    for await (const { content } of entries) {
      begun++;
      for await (const chunk of content ?? []) bytes += chunk.length;
    }
    adds.push(`whole ${bytes}`);
    yield { kind: 'progress' as const, bytes, blocks: 0, destinations: [] };
  } catch (error) {
    adds.push(`broken ${(error as { code?: string }).code}`);
    throw error;
  }
}

const doors = await openDoors(services);
const grpc = new GrpcClient(doors.grpcHost);
const path = '/pinfold.v1.PinService/GetPin';
const addPath = '/pinfold.v1.PinService/Add';

async function stillServes(t: Test): Promise<void> {
  const { pin } = await grpc.unary(PinService.method.getPin, { cid: 'x' }, { deadline: Date.now() + 10_000 });
  t.equal(pin?.cid, 'x', 'gRPC goes on');
  const response = await fetch(`${doors.httpUrl}${path}`, post('{"cid":"y"}'));
  t.match(await response.json(), { pin: { cid: 'y' } }, 'HTTP goes on');
}

const post = (body: string | Uint8Array<ArrayBuffer>, type = 'application/json') => ({
  method: 'POST',
  headers: { 'content-type': type },
  body,
});

/** Sends bytes on a raw socket and returns what came back until it closed, or until `waitMs` passed. */
async function raw(port: number, bytes: Uint8Array | string, waitMs = 300): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(bytes);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, waitMs))]);
  socket.destroy();
  return text;
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const settings = frame(4, 0, 0);
const goaway = frame(7, 0, 0, Buffer.alloc(8));
const ping = frame(6, 0, 0, Buffer.alloc(8, 1));
const reset = (stream: number) => frame(3, 0, stream, Buffer.of(0, 0, 0, 8));
const literal = (name: string, value: string) =>
  Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]);
const headers = (stream: number, target: string, flags = 4) =>
  frame(
    1,
    flags,
    stream,
    Buffer.concat([
      literal(':method', 'POST'),
      literal(':scheme', 'http'),
      literal(':path', target),
      literal(':authority', 'localhost'),
      literal('content-type', 'application/grpc'),
      literal('te', 'trailers'),
    ]),
  );
const hello = Buffer.concat([preface, settings]);

t.test('gRPC: bytes that are no HTTP/2', async (t) => {
  await raw(doors.grpcPort, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await raw(doors.grpcPort, randomBytes(100_000));
  await raw(doors.grpcPort, Buffer.concat([preface, randomBytes(100_000)]));
  for (let i = 0; i < 20; i++) await raw(doors.grpcPort, Buffer.concat([hello, randomBytes(1 + i * 37)]), 20);
  await stillServes(t);
});

t.test('gRPC: GOAWAY, pings and resets at bad moments', async (t) => {
  const call = headers(1, path);
  const floods = {
    'GOAWAY at once': [hello, goaway],
    'GOAWAY before the body': [hello, call, goaway, frame(0, 1, 1, Buffer.of(0, 0, 0, 0, 0))],
    'GOAWAY in the middle of a message': [hello, call, frame(0, 0, 1, Buffer.of(0, 0, 0, 0, 9, 1)), goaway],
    'GOAWAY many times': [hello, call, ...Array(100).fill(goaway)],
    'ping before the settings': [preface, ping, settings],
    'ping in the middle': [hello, call, ping, frame(0, 1, 1, Buffer.of(0, 0, 0, 0, 0)), ping],
    'pings without end': [hello, ...Array(10_000).fill(ping)],
    'reset of what is not there': [hello, reset(1), reset(7)],
    'reset at once': [hello, call, reset(1)],
    'resets without end': [
      hello,
      ...Array.from({ length: 2_000 }, (_, i) => [headers(2 * i + 1, path), reset(2 * i + 1)]).flat(),
    ],
    'settings without end': [hello, ...Array(2_000).fill(settings)],
    'a window of too much': [
      hello,
      frame(8, 0, 0, Buffer.of(0x7f, 255, 255, 255)),
      frame(8, 0, 0, Buffer.of(0x7f, 255, 255, 255)),
    ],
    'headers that never end': [
      hello,
      frame(1, 0, 1, literal(':method', 'POST')),
      ...Array(500).fill(frame(9, 0, 1, literal('x', 'y'.repeat(120)))),
    ],
  };
  for (const [name, frames] of Object.entries(floods)) {
    await raw(doors.grpcPort, Buffer.concat(frames.map(Buffer.from)), 100);
    t.ok(await grpc.unary(PinService.method.getPin, { cid: 'x' }, { deadline: Date.now() + 10_000 }), name);
  }
  await stillServes(t);
});

t.test('gRPC: calls that do not keep to the protocol get a status', async (t) => {
  const session = connectHttp2(`http://${doors.grpcHost}`);
  const status = async (head: Record<string, string>, body: Uint8Array) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...head,
    });
    const got: Record<string, unknown> = {};
    stream.on('response', (answered) => Object.assign(got, answered));
    stream.on('trailers', (answered) => Object.assign(got, answered));
    stream.on('error', () => {});
    stream.resume();
    stream.end(body);
    await once(stream, 'close');
    return Number(got['grpc-status'] ?? -Number(got[':status']));
  };
  const message = Buffer.of(0, 0, 0, 0, 3, 0x12, 1, 0x61);
  t.equal(await status({}, message), 0);
  t.equal(await status({ ':path': '/pinfold.v1.PinService/Nothing' }, message), 12, 'no such method');
  t.equal(await status({ ':path': '/' }, message), 12, 'no such path');
  t.equal(await status({ 'content-type': 'text/plain' }, message), -415, 'another type');
  t.equal(await status({ 'grpc-timeout': 'soon' }, message), 13, 'a deadline that is none');
  t.equal(await status({ 'grpc-encoding': 'snail' }, Buffer.of(1, 0, 0, 0, 1, 1)), 12, 'a compression that is none');
  t.equal(await status({ 'grpc-encoding': 'gzip' }, Buffer.of(1, 0, 0, 0, 1, 1)), 13, 'not compressed after all');
  t.equal(await status({}, Buffer.alloc(0)), 12, 'no message');
  t.equal(await status({}, Buffer.concat([message, message])), 12, 'two messages');
  t.equal(await status({}, Buffer.of(0, 0, 0, 0, 9, 1)), 12, 'half a message');
  t.equal(await status({}, Buffer.of(0, 0x7f, 255, 255, 255, 1)), 8, 'a message of 2 GiB, announced');
  for (let i = 0; i < 50; i++) {
    const bytes = randomBytes(20);
    t.ok([0, 3].includes(await status({}, Buffer.concat([Buffer.of(0, 0, 0, 0, 20), bytes]))), bytes.toString('hex'));
  }
  session.destroy();
  await stillServes(t);
});

const envelope = (bytes: Uint8Array) => Buffer.concat([Buffer.of(0, 0, 0, 0, bytes.length), bytes]);
/** AddRequest: start {}, entry { path: "a" }, data "12345". */
const addStart = envelope(Buffer.of(0x0a, 0));
const addEntry = envelope(Buffer.of(0x12, 3, 0x0a, 1, 0x61));
const addData = envelope(Buffer.of(0x1a, 5, 49, 50, 51, 52, 53));
const addBytes = Buffer.concat([addStart, addEntry, addData]);

t.test('gRPC: an add that is cut is never taken for whole', async (t) => {
  const body = frame(0, 0, 1, addBytes);
  const cuts: Record<string, Buffer> = {
    reset: Buffer.concat([body, reset(1)]),
    GOAWAY: Buffer.concat([body, goaway]),
    'half a message': frame(0, 0, 1, addBytes.subarray(0, -2)),
    'no more bytes': body,
    'a frame that is none': Buffer.concat([body, frame(0, 0, 0, addData)]),
  };
  for (const [name, bytes] of Object.entries(cuts)) {
    adds.length = 0;
    await raw(doors.grpcPort, Buffer.concat([hello, headers(1, addPath), bytes]), 200);
    // Where the connection ends at once, the handler may never have heard of the call.
    await eventually(`${name} is noticed`, () => adds.length > 0, 3_000).catch(() => name === 'GOAWAY' || t.fail(name));
    t.notOk(
      adds.some((end) => end !== 'broken CANCELLED'),
      `${name}: ${adds}`,
    );
  }
  adds.length = 0;
  await raw(doors.grpcPort, Buffer.concat([hello, headers(1, addPath), frame(0, 1, 1, addBytes)]), 200);
  t.strictSame(adds, ['whole 5'], 'and the same with its end is whole');
});

t.test('HTTP: what is malformed is refused and counted', async (t) => {
  const refused = async (bytes: string | Buffer, status: number, name: string) => {
    const before = doors.refused.length;
    const answer = await raw(doors.httpPort, bytes, 500);
    t.match(answer, new RegExp(`^HTTP/1.1 ${status} `), name);
    t.ok(doors.refused.slice(before).includes(`http ${status}`), `${name}: counted`);
  };
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\n`;
  await refused('nonsense\r\n\r\n', 400, 'no HTTP');
  await refused(randomBytes(1_000), 400, 'noise');
  await refused(`${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx`, 400, 'two lengths');
  await refused(`${head}X: ${'y'.repeat(100_000)}\r\n\r\n`, 431, 'a head that is too large');
  await refused(`${head}Content-Type: application/json\r\nContent-Length: 3\r\n\r\n{x}`, 400, 'no JSON');
  await refused(`${head}Content-Type: application/proto\r\nContent-Length: 3\r\n\r\n\n\xff\xff`, 400, 'no message');
  await refused(`${head}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}`, 415, 'another type');
  await refused('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', 404, 'no such path');
  await refused(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 405, 'another method');
  await refused(`POST ${path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n`, 403, 'a foreign name');
  await stillServes(t);
});

t.test('HTTP: garbage behind a good request ends that connection alone', async (t) => {
  const body = '{"cid":"z"}';
  const good = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const answer = await raw(doors.httpPort, `${good}${good}garbage\r\n\r\n`, 500);
  t.match(answer, /"cid":"z"/);
  await stillServes(t);
});

t.test('HTTP: only our own names, and no CORS', async (t) => {
  const ask = async (host: string) =>
    Number(
      (await raw(doors.httpPort, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`, 500)).slice(9, 12),
    );
  for (const host of ['localhost', 'LOCALHOST:9094', '127.0.0.1:1', '[::1]:9094']) t.equal(await ask(host), 404, host);
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example:9094',
    '10.0.0.1',
    '',
    '[::2]',
  ]) {
    t.equal(await ask(host), 403, host);
  }
  const preflight = await fetch(`${doors.httpUrl}${path}`, {
    method: 'OPTIONS',
    headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
  });
  t.not(preflight.status, 200);
  const response = await fetch(`${doors.httpUrl}${path}`, {
    ...post('{}'),
    headers: { 'content-type': 'application/json', origin: 'https://evil.example' },
  });
  for (const name of [...preflight.headers.keys(), ...response.headers.keys()]) {
    t.notMatch(name, /^access-control-/);
  }
});

t.test('gRPC: a client that opens and leaves connections', async (t) => {
  const sockets: Socket[] = [];
  for (let i = 0; i < 200; i++) sockets.push(connect(doors.grpcPort, '127.0.0.1').on('error', () => {}));
  for (const socket of sockets) socket.resetAndDestroy();
  for (let i = 0; i < 20; i++) {
    const session = connectHttp2(`http://${doors.grpcHost}`);
    session.on('error', () => {});
    const stream = session.request({
      ':method': 'POST',
      ':path': addPath,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => {});
    stream.write(addStart);
    if (i % 2 === 0) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    else session.destroy();
  }
  await stillServes(t);
});

t.test('gRPC: the calls of a client whose process has ended end at once', async (t) => {
  const anHour = 3_600_000;
  let ended: unknown;
  const watching = pinServiceWith({
    async *watchPins(_request, { signal }) {
      yield create(WatchPinsResponseSchema, { caughtUp: true });
      await once(signal, 'abort');
      ended = signal.reason;
    },
  });
  const lonely = await openDoors([watching], anHour);
  const source = `
    const session = require('node:http2').connect('http://${lonely.grpcHost}');
    const headers = { ':method': 'POST', ':path': '/pinfold.v1.PinService/WatchPins', 'content-type': 'application/grpc', te: 'trailers' };
    session.request(headers).on('data', () => console.log('answered')).end(Buffer.alloc(5));
  `;
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  await eventually('the handler hears of it', () => ended !== undefined);
  t.match(ended, { code: 'CANCELLED' });
  await lonely.stop();
});

t.test('of many streams that are cut at once none looks like one that has ended', async (t) => {
  const many = 64;
  const start = create(AddRequestSchema, { message: { case: 'start', value: {} } });
  const entry = create(AddRequestSchema, { message: { case: 'entry', value: { path: 'empty' } } });
  const client = new GrpcClient(doors.grpcHost);
  for (let round = 0; round < 5; round++) {
    adds.length = 0;
    begun = 0;
    const streams = Array.from({ length: many }, () => client.bidi(PinService.method.add));
    for (const stream of streams) {
      stream.on('error', () => {});
      stream.on('data', () => {});
      stream.write(start);
      stream.write(entry);
    }
    await eventually('all are being read', () => begun === many);
    for (const stream of streams) stream.cancel();
    await eventually('all are over', () => adds.length === many);
    t.strictSame([...new Set(adds)], ['broken CANCELLED']);
  }
  client.close();
});

t.test('the doors close, and nothing failed unexpectedly', async (t) => {
  grpc.close();
  await doors.stop();
  t.strictSame(doors.errors, []);
});
