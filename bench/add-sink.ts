import { create } from '@bufbuild/protobuf';
import { type AddRequest, AddResponseSchema, PinService } from '../gen/pinfold/v1/pin_service_pb.ts';
import { anonymous, callScopes } from '../src/api/call-scope.ts';
import { grpcServer } from '../src/api/grpc/grpc-server.ts';
import { type Handlers, mount } from '../src/api/handlers.ts';
import { apiMetrics } from '../src/api/metrics.ts';
import { systemClock as clock, systemTimers as timers } from '../src/runtime/clock.ts';
import { tuneGarbageCollection } from '../src/runtime/garbage.ts';
import { silentLogger as logger } from '../src/runtime/logger.ts';
import { noMetrics } from '../src/runtime/metrics.ts';

/*
 * A limit of the benchmark `add`: the same gRPC server with a handler that reads what is added and throws it away.
 *
 *     add-sink.ts        prints its port
 */
async function* add(requests: AsyncIterable<AddRequest>) {
  for await (const _ of requests);
  yield create(AddResponseSchema, { message: { case: 'root', value: {} } });
}

tuneGarbageCollection();
const scopes = callScopes({ clock, timers, authenticate: anonymous });
const server = grpcServer(
  { host: '127.0.0.1', port: 0 },
  {
    services: [mount(PinService, { add } as unknown as Handlers<typeof PinService>)],
    extend: () => {},
    scopes,
    logger,
    metrics: apiMetrics(noMetrics),
  },
);
console.log(await server.start());
