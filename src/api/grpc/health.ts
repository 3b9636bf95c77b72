import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

/** The gRPC health protocol: overall ("") and for each service. */
export interface Health {
  add(server: Server): void;
  set(serving: boolean): void;
}

export function health(services: readonly string[]): Health {
  const names = ['', ...services];
  const implementation = new HealthImplementation(Object.fromEntries(names.map((name) => [name, 'NOT_SERVING'])));
  return {
    add: (server) => implementation.addToServer(server as never),
    set(serving) {
      for (const name of names) implementation.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    },
  };
}
