import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { open } from 'lmdb';
import { PinService, type WritePinsRequest, WritePinsResponseSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { anonymous, callScopes } from '../src/api/call-scope.ts';
import { grpcServer } from '../src/api/grpc/grpc-server.ts';
import { type Handlers, mount } from '../src/api/handlers.ts';
import { apiMetrics } from '../src/api/metrics.ts';
import { parseCid } from '../src/model/cid.ts';
import { pinKey } from '../src/model/pin-key.ts';
import { systemClock as clock, systemTimers as timers } from '../src/runtime/clock.ts';
import { silentLogger as logger } from '../src/runtime/logger.ts';
import { noMetrics } from '../src/runtime/metrics.ts';

/*
 * The limit of the benchmark `write`: the same gRPC server with a handler that does one LMDB put a pin (key of 45 bytes,
 * value of 60), flushed as often as Pinfold flushes, and answers after the flush.
 *
 *     put-server.ts FOLDER        prints its port
 */
const [folder = ''] = process.argv.slice(2);
await mkdir(folder, { recursive: true });
const db = open({ path: join(folder, 'data.mdb'), encoding: 'binary', keyEncoding: 'binary' });
const value = Buffer.alloc(60, 7);
/** As Pinfold: at most so many operations a flush, two flushes in flight. */
const operationsPerFlushMax = 5_000;

async function* writePins(requests: AsyncIterable<WritePinsRequest>) {
  const answers: Promise<void>[] = [];
  let operations = 0;
  let last = 0;
  for await (const { message } of requests) {
    if (message.case !== 'batch') continue;
    for (const { operation } of message.value.operations) {
      if (operation.case !== 'pin') continue;
      db.put(pinKey(parseCid(operation.value.cid), 'default'), value);
      last++;
      operations++;
    }
    if (operations < operationsPerFlushMax) continue;
    operations = 0;
    answers.push(Promise.resolve(db.flushed).then(() => {}));
    if (answers.length < 2) continue;
    await answers.shift();
    yield decided(last);
  }
  await db.flushed;
  yield decided(last);
}

function decided(last: number) {
  return create(WritePinsResponseSchema, { message: { case: 'decided', value: { first: 1n, last: BigInt(last) } } });
}

const scopes = callScopes({ clock, timers, authenticate: anonymous });
const server = grpcServer(
  { host: '127.0.0.1', port: 0 },
  {
    services: [mount(PinService, { writePins } as unknown as Handlers<typeof PinService>)],
    extend: () => {},
    scopes,
    logger,
    metrics: apiMetrics(noMetrics),
  },
);
console.log(await server.start());
