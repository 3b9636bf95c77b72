import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';

/**
 * A page in a browser can make the browser send requests here under a name of the page's choosing (DNS rebinding). So
 * only our own names are served; and no CORS origin is allowed, for want of any header that says so.
 */
export function refuseForeignHosts(app: FastifyInstance, listenHost: string): void {
  app.addHook('onRequest', async (request, reply) => {
    if (isOwnHost(request.headers.host ?? '', listenHost)) return;
    return reply.code(403).send({ code: 'permission_denied', message: 'this name is not served here' });
  });
}

const localNames = new Set(['localhost', '127.0.0.1', '::1']);
const everyAddress = new Set(['0.0.0.0', '::']);

export function isOwnHost(header: string, listenHost: string): boolean {
  const asked = header
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  if (localNames.has(asked) || asked === listenHost.toLowerCase()) return true;
  // Listening everywhere, all addresses are ours; a page has a name for us, never an address.
  return everyAddress.has(listenHost) && (isIP(asked) !== 0 || asked === hostname().toLowerCase());
}
