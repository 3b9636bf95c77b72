import { PinService } from '../gen/pinfold/v1/pin_service_pb.ts';
import { anonymous, callScopes } from '../src/api/call-scope.ts';
import { grpcServer } from '../src/api/grpc/grpc-server.ts';
import { type Handlers, mount } from '../src/api/handlers.ts';
import { apiMetrics } from '../src/api/metrics.ts';
import { systemClock as clock, systemTimers as timers } from '../src/runtime/clock.ts';
import { silentLogger as logger } from '../src/runtime/logger.ts';
import { noMetrics } from '../src/runtime/metrics.ts';

/** The gRPC server of a daemon with these methods of PinService and nothing behind it. Resolves with its port. */
export function servePins(handlers: Partial<Handlers<typeof PinService>>): Promise<number> {
  const server = grpcServer(
    { host: '127.0.0.1', port: 0 },
    {
      services: [mount(PinService, handlers as Handlers<typeof PinService>)],
      extend: () => {},
      scopes: callScopes({ clock, timers, authenticate: anonymous }),
      logger,
      metrics: apiMetrics(noMetrics),
    },
  );
  return server.start();
}
