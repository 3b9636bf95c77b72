import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { ListPinsResponseSchema, PinService, WatchPinsResponseSchema } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { anonymous, callScopes } from '../../src/api/call-scope.ts';
import { stopGraceMs } from '../../src/api/constants.ts';
import { httpServer } from '../../src/api/http/http-server.ts';
import { metricsServer } from '../../src/api/http/metrics-server.ts';
import { isOwnHost } from '../../src/api/http/own-hosts.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { detailsOf, failureOf, GrpcClient, openDoors } from '../support/doors.ts';
import { pinServiceWith } from '../support/pin-handlers.ts';
import { virtualTime } from '../support/virtual-time.ts';

const never = new Promise<never>(() => {});
const services = [
  pinServiceWith({
    getPin: () => never,
    async *watchPins() {
      yield create(WatchPinsResponseSchema, { caughtUp: true });
      await never;
    },
    async *listPins() {
      for (;;) yield create(ListPinsResponseSchema, { pins: [{ cid: 'x'.repeat(100_000) }] });
    },
  }),
];

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

t.test('stopping ends calls with SHUTTING_DOWN, and connections that stay open within a bound', async (t) => {
  const doors = await openDoors(services);
  const grpc = new GrpcClient(doors.grpcHost);
  const idle = [connect(doors.grpcPort, '127.0.0.1'), connect(doors.httpPort, '127.0.0.1')];
  // A client that reads nothing: its stream cannot even be told that it has ended.
  const deaf = connectHttp2(`http://${doors.grpcHost}`);
  deaf.on('error', () => {});
  const path = '/pinfold.v1.PinService/ListPins';
  const unread = deaf.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' });
  unread.on('error', () => {});
  unread.pause();
  unread.end(Buffer.alloc(5));
  const headers = { 'content-type': 'application/connect+json' };
  const url = `${doors.httpUrl}/pinfold.v1.PinService/WatchPins`;
  const body = Buffer.concat([Buffer.of(0, 0, 0, 0, 2), Buffer.from('{}')]);
  const web = await fetch(url, { method: 'POST', headers, body });
  const watch = grpc.serverStream(PinService.method.watchPins, {});
  const watching = failureOf(drain(watch));
  const unary = failureOf(grpc.unary(PinService.method.getPin, {}));
  const unaryWeb = fetch(`${doors.httpUrl}/pinfold.v1.PinService/GetPin`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  await Promise.all(idle.map((socket) => socket.readyState === 'open' || once(socket, 'connect')));
  await new Promise((resolve) => watch.once('data', resolve));
  await new Promise((resolve) => setTimeout(resolve, 100));

  const began = performance.now();
  const stopped = doors.stop();
  for (const error of [await watching, await unary]) {
    t.equal(error.code, 14);
    t.equal(detailsOf(error).info?.reason, 'SHUTTING_DOWN', error.message);
  }
  t.match(await web.text(), /"code":"unavailable".*google.rpc.ErrorInfo/s);
  const answer = await unaryWeb;
  t.equal(answer.status, 503);
  t.match(await answer.json(), { code: 'unavailable', details: [{ type: 'google.rpc.ErrorInfo' }] });
  await stopped;
  const tookMs = performance.now() - began;
  t.ok(tookMs < 3 * stopGraceMs, `stopped after ${tookMs} ms`);
  grpc.close();
  deaf.destroy();
  for (const socket of idle) socket.destroy();
  t.strictSame(doors.errors, []);
});

t.test('stopping at rest is quick', async (t) => {
  const doors = await openDoors(services);
  const grpc = new GrpcClient(doors.grpcHost);
  await failureOf(grpc.unary(PinService.method.pin, {}));
  const began = performance.now();
  await doors.stop();
  t.ok(performance.now() - began < stopGraceMs, 'nobody waits for a client that has nothing open');
  grpc.close();
});

t.test('a port that is taken is said with what to do', async (t) => {
  const doors = await openDoors(services);
  const scopes = callScopes({ clock: systemClock, timers: systemTimers, authenticate: anonymous });
  const metrics = { called() {}, refused() {} };
  const init = { host: '127.0.0.1', port: doors.httpPort };
  const taken = { code: 'CONFIG_INVALID' };
  await t.rejects(httpServer(init, { services, scopes, logger: silentLogger, metrics }).start(), {
    ...taken,
    message: /api\.httpListen/,
  });
  await t.rejects(metricsServer(init, { expose: async () => '' }).start(), { ...taken, message: /api\.metricsListen/ });
  await doors.stop();
});

t.test('health and reflection', async (t) => {
  const doors = await openDoors(services);
  const grpc = new GrpcClient(doors.grpcHost);
  // grpc.health.v1: HealthCheckRequest { service = 1 }, HealthCheckResponse { status = 1 }: SERVING 1, NOT_SERVING 2.
  const check = async (service: string) => {
    const request = Buffer.concat([Buffer.of(0x0a, service.length), Buffer.from(service)]);
    return (await grpc.raw('/grpc.health.v1.Health/Check', request)).toString('hex');
  };
  t.equal(await check(''), '0802');
  doors.health.set(true);
  t.equal(await check(''), '0801');
  t.equal(await check('pinfold.v1.PinService'), '0801');
  t.equal((await failureOf(check('no.such.Service'))).code, 5);
  doors.health.set(false);
  t.equal(await check('pinfold.v1.PinService'), '0802');

  // grpc.reflection: ServerReflectionRequest { list_services = 7 | file_containing_symbol = 4 }.
  for (const version of ['v1', 'v1alpha']) {
    const ask = (request: Buffer) =>
      new Promise<Buffer>((resolve, reject) => {
        const pass = (bytes: Buffer) => bytes;
        const stream = grpc.client.makeBidiStreamRequest(
          `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
          pass,
          pass,
        );
        stream.on('data', resolve).on('error', reject);
        stream.write(request);
        stream.end();
      });
    const list = (await ask(Buffer.of(0x3a, 1, 0x2a))).toString('latin1');
    t.match(list, /pinfold\.v1\.PinService/, version);
    const symbol = 'pinfold.v1.PinService';
    const found = await ask(Buffer.concat([Buffer.of(0x22, symbol.length), Buffer.from(symbol)]));
    t.match(found.toString('latin1'), /pinfold\/v1\/pin_service\.proto/, version);
  }
  grpc.close();
  await doors.stop();
});

t.test('our own names', async (t) => {
  t.ok(isOwnHost('[2001:db8::1]:9094', '2001:db8::1'));
  t.notOk(isOwnHost('10.0.0.1:9094', '10.0.0.2'));
  t.ok(isOwnHost('10.0.0.1:9094', '0.0.0.0'), 'listening everywhere, any address is ours');
  t.notOk(isOwnHost('evil.example:9094', '0.0.0.0'), 'and a name is not');
  t.ok(isOwnHost('Peer.example', 'peer.example'));
});

t.test('scopes: deadlines, ends and closing by the clock', async (t) => {
  const time = virtualTime();
  const scopes = callScopes({ ...time, authenticate: anonymous });
  const now = time.clock.nowMs();
  const late = scopes.open(undefined, now + 100);
  const ended = scopes.open(undefined, now + 100);
  ended.end();
  await time.advance(100);
  t.match(late.context.signal.reason, { code: 'DEADLINE' });
  t.notOk(ended.context.signal.aborted);
  late.end();
  const gone = scopes.open(undefined, undefined);
  gone.cancel();
  t.match(gone.context.signal.reason, { code: 'CANCELLED' });
  gone.end();
  const open = scopes.open(undefined, now + 3_600_000);
  let closed = false;
  const closing = scopes.closeAll().then(() => {
    closed = true;
  });
  t.match(open.context.signal.reason, { code: 'SHUTTING_DOWN' });
  await time.advance(stopGraceMs - 1);
  t.notOk(closed, 'it waits for the call to end');
  await time.advance(1);
  await closing;
  t.match(scopes.open(undefined, undefined).context.signal.reason, { code: 'SHUTTING_DOWN' });
  open.end();
});
