import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { authorization, parseRpcAddress } from '../../../src/ipfs/kubo/address.ts';
import { Condition } from '../../../src/ipfs/kubo/condition.ts';
import { ERROR_BYTES_MAX, LINE_BYTES_MAX } from '../../../src/ipfs/kubo/constants.ts';
import { kuboMetrics } from '../../../src/ipfs/kubo/metrics.ts';
import { KuboRpc, type RpcCall, type RpcInit } from '../../../src/ipfs/kubo/rpc.ts';
import { RpcError } from '../../../src/ipfs/kubo/rpc-error.ts';
import { systemClock, systemTimers } from '../../../src/runtime/clock.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { keepAlive } from '../../suites/connector.suite.ts';
import { hostileRpc, plain, streamed } from '../../support/hostile-rpc.ts';

keepAlive(t);

const forever = new AbortController().signal;
const call: RpcCall = { command: 'x', signal: forever };

function client(t: Test, address: string, others: Omit<RpcInit, 'address'> = {}) {
  let ended = 0;
  const metrics = kuboMetrics(noMetrics, new Condition({}, { timers: systemTimers }));
  const needs = { clock: systemClock, timers: systemTimers, metrics, onConnectionEnd: () => ended++ };
  const rpc = new KuboRpc({ address: parseRpcAddress(address), ...others }, needs);
  t.teardown(() => rpc.close());
  return { rpc, connectionsEnded: () => ended };
}

async function collected(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function failsAs(t: Test, promise: Promise<unknown>, kind: RpcError['kind'], words = /./): Promise<void> {
  const failure = await promise.then(
    (value) => new Error(`succeeded with ${JSON.stringify(value)}`),
    (cause) => cause,
  );
  if (!(failure instanceof RpcError)) throw failure;
  t.equal(failure.kind, kind, failure.message);
  t.match(failure.message, words);
}

/** A client of a server that gives every call the same answer. */
async function answering(t: Test, say: string | ((socket: Socket) => void)) {
  const server = await hostileRpc(t, (socket) => (typeof say === 'string' ? socket.write(say) : say(socket)));
  return { server, ...client(t, server.address) };
}

t.test('values come as they are sent, over any borders of chunks', async (t) => {
  const { rpc } = await answering(t, streamed(['{"a":', '1}\n{"b":2}\n\n', '{"c"', ':', '3}']));
  t.strictSame(await collected(rpc.lines(call)), [{ a: 1 }, { b: 2 }, { c: 3 }]);
});

t.test('an empty stream that ends well is an empty stream', async (t) => {
  const { rpc } = await answering(t, streamed([]));
  t.strictSame(await collected(rpc.lines(call)), []);
  await failsAs(t, rpc.one(call), 'garbled', /other than one value/);
});

t.test('an error in the trailer is an error, whatever came before it', async (t) => {
  const { rpc } = await answering(t, streamed(['{"Pins":["x"]}\n'], { error: 'pin: context canceled' }));
  const lines = rpc.lines(call);
  t.strictSame((await lines.next()).value, { Pins: ['x'] });
  await failsAs(t, lines.next(), 'refused', /context canceled/);
  await failsAs(t, rpc.one(call), 'refused', /context canceled/);
  await failsAs(t, rpc.bytes(call, 1_000), 'refused', /context canceled/);
});

t.test('a stream that breaks off is never whole', async (t) => {
  const answers = {
    'between chunks': streamed(['{"a":1}\n'], 'unfinished'),
    'in a chunk': `${streamed([], 'unfinished')}64\r\n{"a":1}\n`,
    'before the end of the trailers': streamed(['{"a":1}\n']).slice(0, -2),
    'below its length': 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a":1}\n',
  };
  for (const [where, answer] of Object.entries(answers)) {
    const { rpc } = await answering(t, (socket) => socket.end(answer));
    await failsAs(t, rpc.one(call), 'absent', /broke off|does not answer/);
    t.pass(where);
  }
});

t.test('what is no JSON is refused', async (t) => {
  for (const text of ['{"a":\n', 'Hello\n', '{}{}\n', '\u0000']) {
    const { rpc } = await answering(t, streamed([text]));
    await failsAs(t, collected(rpc.lines(call)), 'garbled');
  }
});

t.test('a line without an end is cut, and with it the connection', async (t) => {
  const piece = `${(64 * 1024).toString(16)}\r\n${'x'.repeat(64 * 1024)}\r\n`;
  let sent = 0;
  const pour = (socket: Socket) => {
    while (!socket.destroyed && socket.write(piece)) sent += piece.length;
  };
  const { rpc, server } = await answering(t, (socket) => {
    socket.write(streamed([], 'unfinished'));
    socket.on('drain', () => pour(socket));
    pour(socket);
  });
  await failsAs(t, collected(rpc.lines(call)), 'garbled', /line of more than/);
  await until(() => server.connections() === 0);
  t.ok(sent < LINE_BYTES_MAX + 8 * 1024 * 1024, `${sent} bytes were sent`);
});

t.test('an answer above its limit is cut', async (t) => {
  const { rpc, server } = await answering(t, streamed(['0123456789'], 'unfinished'));
  await failsAs(t, rpc.bytes(call, 9), 'garbled', /more than 9 bytes/);
  await until(() => server.connections() === 0);
});

t.test('silence has an end: before the answer, in it, and behind a consumer that takes its time', async (t) => {
  const silent = await answering(t, () => {});
  await failsAs(
    t,
    silent.rpc.one({ ...call, answerTimeoutMs: 30 }),
    'absent',
    /did not begin to answer x within 30 ms/,
  );
  const half = await answering(t, streamed(['{"a":1}\n'], 'unfinished'));
  await failsAs(t, collected(half.rpc.lines({ ...call, silenceTimeoutMs: 30 })), 'absent', /fell silent/);
  await until(() => silent.server.connections() + half.server.connections() === 0);
  const whole = await answering(t, streamed(['{"a":1}\n', '{"b":1}\n']));
  for await (const _ of whole.rpc.lines({ ...call, silenceTimeoutMs: 30 })) {
    const { promise, resolve } = Promise.withResolvers<void>();
    systemTimers.after(60, resolve);
    await promise;
  }
});

t.test('what answers is named for what it is', async (t) => {
  const page = '<html>Sign in</html>';
  const cases: [string, RpcError['kind'], RegExp][] = [
    [plain('401 Unauthorized', ''), 'unauthorized', /401/],
    [plain('403 Forbidden', '403 - Access Denied'), 'unauthorized', /403/],
    [plain('404 Not Found', '404 page not found'), 'foreign', /404/],
    [plain('302 Found', '', 'Location: http://127.0.0.1:1/\r\n'), 'foreign', /302/],
    [plain('502 Bad Gateway', page, 'Content-Type: text/html\r\n'), 'foreign', /502/],
    [plain('500 Internal Server Error', page), 'foreign', /500/],
    [plain('200 OK', page, 'Content-Type: text/html; charset=utf-8\r\n'), 'foreign', /a page/],
    [plain('500 Internal Server Error', '{"Message":"pin: no","Code":0,"Type":"error"}'), 'refused', /^pin: no$/],
    ['SSH-2.0-OpenSSH_9.6\r\n', 'foreign', /does not speak HTTP/],
  ];
  for (const [answer, kind, words] of cases) {
    const { rpc } = await answering(t, answer);
    await failsAs(t, rpc.one(call), kind, words);
  }
});

t.test('an error without end is cut', async (t) => {
  const { rpc, server } = await answering(t, (socket) => {
    socket.write('HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let at = 0; at < 4; at++)
      socket.write(`${ERROR_BYTES_MAX.toString(16)}\r\n${'x'.repeat(ERROR_BYTES_MAX)}\r\n`);
  });
  await failsAs(t, rpc.one(call), 'foreign');
  await until(() => server.connections() === 0);
});

t.test('nobody there', async (t) => {
  const { rpc } = client(t, '/ip4/127.0.0.1/tcp/1');
  await failsAs(t, rpc.one(call), 'absent', /ECONNREFUSED/);
  const socket = client(t, '/unix/nonexistent/rpc.sock');
  await failsAs(t, socket.rpc.one(call), 'absent', /ENOENT/);
});

t.test('an abort ends the call with its reason, and the connection', async (t) => {
  const reason = new Error('enough');
  for (const answer of ['', streamed(['{"a":1}\n'], 'unfinished')]) {
    const { rpc, server } = await answering(t, answer);
    const controller = new AbortController();
    const taken = collected(rpc.lines({ ...call, signal: controller.signal }));
    await until(() => server.requests.length === 1);
    controller.abort(reason);
    await t.rejects(taken, reason);
    await until(() => server.connections() === 0);
    await t.rejects(rpc.one({ ...call, signal: controller.signal }), reason);
    t.equal(server.requests.length, 1, 'not even asked');
  }
});

t.test('who stops reading cuts the answer', async (t) => {
  const { rpc, server } = await answering(t, streamed(['{"a":1}\n'], 'unfinished'));
  for await (const _ of rpc.lines(call)) break;
  await until(() => server.connections() === 0);
});

t.test('connections are used again; one that ended meanwhile is noticed and does no harm', async (t) => {
  const { rpc, server, connectionsEnded } = await answering(t, streamed(['{}\n']));
  for (let i = 0; i < 10; i++) await rpc.one(call);
  const opened = server.connections();
  // The end of an answer is told a moment before its connection may be used again.
  t.ok(opened <= 2, `${opened} connections`);
  t.equal(connectionsEnded(), 0);
  server.cut();
  await until(() => connectionsEnded() === opened);
  await rpc.one(call);
  // Cut in the moment it is used: the call that finds it so is made again.
  let isFirst = true;
  const moody = await hostileRpc(t, (socket, request) => {
    if (request.includes('again') && isFirst) {
      isFirst = false;
      socket.destroy();
    } else socket.write(streamed(['{}\n']));
  });
  const other = client(t, moody.address);
  await other.rpc.one(call);
  await other.rpc.one({ ...call, command: 'again' });
  t.equal(moody.requests.length, 3);
});

t.test('the request: its path, its arguments, its credentials', async (t) => {
  const server = await hostileRpc(t, (socket) => socket.write(streamed(['{}\n'])));
  const url = `http://127.0.0.1:${server.address.split('/').at(-1)}/behind/proxy/`;
  const { rpc } = client(t, url, { auth: 'basic:me:a:b' });
  await rpc.one({
    ...call,
    command: 'pin/add',
    query: [
      ['arg', 'a b&c'],
      ['arg', 'ü'],
    ],
  });
  t.match(server.requests[0], /^POST \/behind\/proxy\/api\/v0\/pin\/add\?arg=a\+b%26c&arg=%C3%BC HTTP/);
  t.match(server.requests[0], `uthorization: Basic ${Buffer.from('me:a:b').toString('base64')}`);
});

t.test('a unix socket', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pinfold-rpc-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'rpc.sock');
  const server = createHttpServer((_, response) => response.end('{"a":1}'));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => server.close());
  for (const address of [`/unix${path}`, `unix://${path}`]) {
    const { rpc } = client(t, address);
    t.strictSame(await rpc.one(call), { a: 1 });
    rpc.close();
  }
});

t.test('TLS: the server is believed if its authority is, and we if we show what it asks for', async (t) => {
  const file = (name: string) => fileURLToPath(new URL(`../../support/tls/${name}`, import.meta.url));
  const [ca, cert, key] = ['ca.pem', 'server.pem', 'server.key'].map((name) => readFileSync(file(name)));
  const options = { ca, cert, key, requestCert: true, rejectUnauthorized: true };
  const server = createHttpsServer(options as object, (_, response) => response.end('{"a":1}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const caFile = file('ca.pem');
  const own = { certFile: file('client.pem'), keyFile: file('client.key') };
  for (const address of [`https://localhost:${port}`, `/ip4/127.0.0.1/tcp/${port}/https`]) {
    const { rpc } = client(t, address, { tls: { caFile, ...own } });
    t.strictSame(await rpc.one(call), { a: 1 });
    rpc.close();
  }
  await failsAs(t, client(t, `https://localhost:${port}`, { tls: own }).rpc.one(call), 'absent', /certificate/);
  await failsAs(t, client(t, `https://localhost:${port}`, { tls: { caFile } }).rpc.one(call), 'absent');
  await failsAs(t, client(t, `http://localhost:${port}`).rpc.one(call), 'absent');
});

t.test('addresses', async (t) => {
  const at = (text: string) => {
    const { tls, host, port, socketPath, basePath } = parseRpcAddress(text);
    return socketPath ?? `${tls ? 'tls ' : ''}${host} ${port}${basePath}`;
  };
  t.equal(at('/ip4/127.0.0.1/tcp/5001'), '127.0.0.1 5001');
  t.equal(at('/ip4/127.0.0.1/tcp/5001/http'), '127.0.0.1 5001');
  t.equal(at('/ip6/::1/tcp/5001/https'), 'tls ::1 5001');
  t.equal(at('/dns4/kubo/tcp/443/tls/http'), 'tls kubo 443');
  t.equal(at('http://kubo:5001'), 'kubo 5001');
  t.equal(at('http://[::1]:5001/api/v0/'), '::1 5001');
  t.equal(at('https://kubo/node'), 'tls kubo 443/node');
  t.equal(at('/unix/run/ipfs.sock'), '/run/ipfs.sock');
  t.equal(at('unix:///run/ipfs.sock'), '/run/ipfs.sock');
  const wrong = [
    'kubo:5001',
    '/ip4/127.0.0.1/tcp/99999',
    '/ip4/127.0.0.1/udp/5001',
    '/ip4/127.0.0.1/tcp/5001/p2p/x',
    'ftp://kubo',
    'http://me:secret@kubo:5001',
    'http://kubo/?a=b',
    `/unix/${'x'.repeat(108)}`,
  ];
  for (const text of wrong) t.throws(() => parseRpcAddress(text), RangeError, text);
});

t.test('credentials', async (t) => {
  t.equal(authorization('bearer:abc.def'), 'Bearer abc.def');
  for (const text of ['', 'bearer:', 'bearer:a b', 'basic:nobody', 'digest:a:b', 'bearer:a\r\nx: y']) {
    t.throws(() => authorization(text), RangeError);
  }
  try {
    authorization('bearer:secret word');
  } catch (error) {
    t.notMatch((error as Error).message, /secret/);
  }
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 8_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('the condition did not come true');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
