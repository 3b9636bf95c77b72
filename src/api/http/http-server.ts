import type { DescMethod } from '@bufbuild/protobuf';
import {
  type Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from '@connectrpc/connect';
import { fastifyConnectPlugin } from '@connectrpc/connect-fastify';
import { type FastifyInstance, fastify } from 'fastify';
import { type errorRegistry, PinfoldError } from '../../model/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { CallScope, CallScopes } from '../call-scope.ts';
import { messageBytesMax } from '../constants.ts';
import { errorDetails, publicError, statusCode } from '../errors.ts';
import type { Mounted, MountedMethod } from '../handlers.ts';
import type { ApiMetrics } from '../metrics.ts';

/** HTTP: Connect and gRPC-Web of the same services. */
export interface HttpServer {
  /** Resolves with the port, which is of interest when the one asked for was 0. */
  start(): Promise<number>;
  stop(): Promise<void>;
}

export interface HttpServerInit {
  host: string;
  port: number;
}

export interface HttpServerNeeds {
  services: readonly Mounted[];
  scopes: CallScopes;
  logger: Logger;
  metrics: ApiMetrics;
}

export function httpServer(init: HttpServerInit, needs: HttpServerNeeds): HttpServer {
  const app = fastify({
    logger: false,
    bodyLimit: messageBytesMax,
    // A request's head must be there in time; its body may be a stream that lasts.
    connectionTimeout: 0,
    forceCloseConnections: true,
  });
  refuseForeignHosts(app, init.host);
  return {
    async start() {
      await app.register(fastifyConnectPlugin, {
        // On the router and nowhere else: options of a service would bring back what is turned off here.
        grpc: false,
        readMaxBytes: messageBytesMax,
        writeMaxBytes: messageBytesMax,
        routes: (router) => {
          for (const mounted of needs.services) addService(router, mounted, needs);
        },
      });
      try {
        await app.listen({ host: init.host, port: init.port });
      } catch (cause) {
        const { message } = cause as Error;
        throw new PinfoldError(
          'CONFIG_INVALID',
          `HTTP cannot listen on ${init.host}:${init.port} (${message}); is another daemon running? Change api.httpPort or stop it`,
          { cause },
        );
      }
      const address = app.server.address();
      return typeof address === 'object' && address !== null ? address.port : init.port;
    },
    async stop() {
      needs.scopes.closeAll();
      await app.close();
    },
  };
}

/**
 * A page in a browser can make the browser send requests here under a name of the page's choosing (DNS rebinding). So
 * only our own names are served; and no CORS origin is allowed, for want of any header that says so.
 */
function refuseForeignHosts(app: FastifyInstance, host: string): void {
  const own = new Set([host, 'localhost', '127.0.0.1', '[::1]']);
  app.addHook('onRequest', async (request, reply) => {
    const asked = (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
    if (own.has(asked)) return;
    reply.code(403).send({ code: 'permission_denied', message: 'this name is not served here' });
    return reply;
  });
}

function addService(router: ConnectRouter, { service, methods }: Mounted, needs: HttpServerNeeds): void {
  const implementation: Record<string, unknown> = {};
  for (const method of methods) implementation[method.desc.localName] = implementationOf(method, needs);
  router.service(service, implementation as Partial<ServiceImpl<typeof service>>);
}

function implementationOf(method: MountedMethod, needs: HttpServerNeeds) {
  switch (method.kind) {
    case 'unary':
      return async (request: unknown, context: HandlerContext) => {
        const scope = openScope(context, needs);
        try {
          const response = await method.handle(request, scope.context);
          ended(method.desc, 'OK', needs);
          return response;
        } catch (error) {
          throw connectError(error, method.desc, needs);
        } finally {
          scope.end();
        }
      };
    default:
      return async function* (input: unknown, context: HandlerContext) {
        const scope = openScope(context, needs);
        try {
          yield* method.handle(input as AsyncIterable<unknown>, scope.context);
          ended(method.desc, 'OK', needs);
        } catch (error) {
          throw connectError(error, method.desc, needs);
        } finally {
          scope.end();
        }
      };
  }
}

function openScope(context: HandlerContext, needs: HttpServerNeeds): CallScope {
  const left = context.timeoutMs();
  const credentials = context.requestHeader.get('authorization') ?? undefined;
  const scope = needs.scopes.open(credentials, left === undefined ? undefined : needs.scopes.deadlineIn(left));
  context.signal.addEventListener('abort', () => scope.cancel(), { once: true });
  return scope;
}

function connectError(error: unknown, method: DescMethod, needs: HttpServerNeeds): ConnectError {
  const shown = publicError(error);
  ended(method, shown.code, needs);
  if (shown.code === 'INTERNAL') needs.logger.error('a call failed unexpectedly', { method: method.name, error });
  const failure = new ConnectError(shown.message, statusCode(shown) satisfies Code as Code);
  failure.details = errorDetails(shown).map(({ typeUrl, value }) => ({ type: typeUrl.split('/').at(-1) ?? '', value }));
  return failure;
}

function ended(method: DescMethod, code: 'OK' | keyof typeof errorRegistry, needs: HttpServerNeeds): void {
  needs.metrics.called(`${method.parent.name}/${method.name}`, code);
}
