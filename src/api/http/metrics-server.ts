import { fastify } from 'fastify';
import { PinfoldError } from '../../model/errors.ts';
import type { HttpServer, HttpServerInit } from './http-server.ts';

/** Prometheus, at /metrics. */
export function metricsServer(init: HttpServerInit, needs: { expose: () => Promise<string> }): HttpServer {
  const app = fastify({ logger: false, forceCloseConnections: true });
  app.get('/metrics', async (_request, reply) => {
    // https://prometheus.io/docs/instrumenting/exposition_formats/
    reply.type('text/plain; version=0.0.4; charset=utf-8');
    return needs.expose();
  });
  return {
    async start() {
      try {
        await app.listen({ host: init.host, port: init.port });
      } catch (cause) {
        const { message } = cause as Error;
        throw new PinfoldError(
          'CONFIG_INVALID',
          `metrics cannot listen on ${init.host}:${init.port} (${message}); change metrics.port or stop who has it`,
          { cause },
        );
      }
      const address = app.server.address();
      return typeof address === 'object' && address !== null ? address.port : init.port;
    },
    stop: () => app.close(),
  };
}
