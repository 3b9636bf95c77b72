import { fastify } from 'fastify';
import { type HttpServer, type HttpServerInit, listen, portOf } from './http-server.ts';
import { refuseForeignHosts } from './own-hosts.ts';

/** Prometheus, at /metrics. */
export function metricsServer(init: HttpServerInit, needs: { expose: () => Promise<string> }): HttpServer {
  const app = fastify({ logger: false, forceCloseConnections: true });
  refuseForeignHosts(app, init.host);
  app.get('/metrics', async (_request, reply) => {
    // https://prometheus.io/docs/instrumenting/exposition_formats/
    reply.type('text/plain; version=0.0.4; charset=utf-8');
    return needs.expose();
  });
  return {
    async start() {
      await listen(app, init, 'metrics', 'api.metricsListen');
      return portOf(app, init);
    },
    stop: () => app.close(),
  };
}
