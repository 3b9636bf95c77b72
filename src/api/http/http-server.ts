import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import {
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type ServiceImpl,
} from '@connectrpc/connect';
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { type FastifyInstance, fastify } from 'fastify';
import { PinfoldError } from '../../model/errors.ts';
import type { CallScopes } from '../call-scope.ts';
import { messageBytesMax, requestHeadMsMax } from '../constants.ts';
import type { Mounted } from '../handlers.ts';
import { type HttpCallNeeds, implementationOf } from './calls.ts';
import { refuseForeignHosts } from './own-hosts.ts';

/** HTTP: Connect and gRPC-Web of the same services. */
export interface HttpServer {
  /** Resolves with the port, which is of interest when the one asked for was 0. */
  start(): Promise<number>;
  /** Ends the calls with SHUTTING_DOWN and closes the connections, all within a few seconds. */
  stop(): Promise<void>;
}

export interface HttpServerInit {
  host: string;
  port: number;
}

export interface HttpServerNeeds extends Omit<HttpCallNeeds, 'reached'> {
  services: readonly Mounted[];
}

/** Which HTTP request a call came in. */
const requestKey = createContextKey<object | undefined>(undefined);

export function httpServer(init: HttpServerInit, needs: HttpServerNeeds): HttpServer {
  const reached = new WeakSet<object>();
  const app = fastify({
    logger: false,
    bodyLimit: messageBytesMax,
    // A request's head must be there in time; its body may be a stream that lasts.
    connectionTimeout: 0,
    requestTimeout: 0,
    http: { headersTimeout: requestHeadMsMax, connectionsCheckingInterval: requestHeadMsMax / 3 },
    forceCloseConnections: true,
    clientErrorHandler(error, socket) {
      const status = malformedStatus(error.code);
      needs.metrics.refused('http', String(status));
      answerMalformed(status, socket);
    },
  });
  refuseForeignHosts(app, init.host);
  app.addHook('onResponse', async ({ raw }, { statusCode }) => {
    // What never came to a handler is counted nowhere else: a foreign name, no such path, a message that cannot be read.
    if (!reached.has(raw)) needs.metrics.refused('http', String(statusCode));
  });
  app.addHook('onRequest', async ({ raw }, reply) => {
    reply.raw.once('finish', () => {
      if (!raw.readableEnded && hasBody(raw)) passOverRest(raw, needs.scopes);
    });
  });
  const callNeeds: HttpCallNeeds = {
    ...needs,
    reached({ values }) {
      const request = values.get(requestKey);
      if (request !== undefined) reached.add(request);
    },
  };
  return {
    async start() {
      serveRouter(app, needs, callNeeds);
      await listen(app, init, 'HTTP', 'api.httpListen');
      return portOf(app, init);
    },
    async stop() {
      await needs.scopes.closeAll();
      await needs.scopes.inTime(app.close());
    },
  };
}

export async function listen(
  app: FastifyInstance,
  { host, port }: HttpServerInit,
  what: string,
  option: string,
): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    throw new PinfoldError(
      'CONFIG_INVALID',
      `${what} cannot listen on ${host}:${port} (${(cause as Error).message}); is another daemon running? Change ${option} or stop it`,
      { cause },
    );
  }
}

export function portOf(app: FastifyInstance, init: HttpServerInit): number {
  const address = app.server.address();
  return typeof address === 'object' && address !== null ? address.port : init.port;
}

/**
 * As the plugin of connect-fastify does, which writes to the console whenever a client leaves before it has read its answer.
 */
function serveRouter(app: FastifyInstance, { services, logger }: HttpServerNeeds, needs: HttpCallNeeds): void {
  const router = createConnectRouter({
    // On the router and nowhere else: options of a service would bring back what is turned off here.
    grpc: false,
    readMaxBytes: messageBytesMax,
    writeMaxBytes: messageBytesMax,
    acceptCompression: [compressionGzip],
  });
  for (const mounted of services) addService(router, mounted, needs);
  // Bodies are read by Connect.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _body, done) => done(null));
  for (const handler of router.handlers) {
    app.all(handler.requestPath, (request, reply) => {
      reply.hijack();
      const values = createContextValues().set(requestKey, request.raw);
      handler(streaming(universalRequestFromNodeRequest(request.raw, reply.raw, undefined, values)))
        .then((answer) => universalResponseToNodeResponse(answer, reply.raw))
        .catch((error) => {
          logger.debug('an answer could not be sent over HTTP', { error });
          reply.raw.destroy();
        });
    });
  }
}

/**
 * Connect refuses streams in both directions by the version of HTTP, because a client of HTTP/1.1 may hear nothing before it has sent all. Our
 * handlers answer while they read and need no reader for that, so such clients are served, too.
 */
function streaming<R extends { httpVersion: string }>(request: R): R {
  return { ...request, httpVersion: '2.0' };
}

function addService(router: ConnectRouter, { service, methods }: Mounted, needs: HttpCallNeeds): void {
  const implementation: Record<string, unknown> = {};
  for (const method of methods) implementation[method.desc.localName] = implementationOf(method, needs);
  router.service(service, implementation as Partial<ServiceImpl<typeof service>>);
}

/**
 * An answer may be complete before its request has been read (one that is too large, say). For a moment the rest is passed over: it stands in
 * the way of the next request, and some clients read nothing before they have sent all. One that goes on sending has had its last answer.
 */
function passOverRest(request: IncomingMessage, scopes: CallScopes): void {
  // By hand: Connect has begun to read it, and a stream that was read in one way does not flow in another.
  const read = () => {
    while (request.read() !== null);
  };
  request.on('readable', read);
  const over = new Promise<void>((resolve) => request.once('end', resolve).once('close', resolve));
  read();
  scopes.inTime(over).then((isOver) => isOver || endConnection(request.socket, scopes));
}

/** Cutting it at once could cost the client the answer. */
function endConnection(socket: Socket, scopes: CallScopes): void {
  const closed = new Promise<void>((resolve) => socket.once('close', resolve));
  socket.end();
  scopes.inTime(closed).then((isClosed) => isClosed || socket.destroy());
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function malformedStatus(code: string | undefined): number {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 408;
  return code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
}

/** What was sent is not HTTP: the connection ends. */
function answerMalformed(status: number, socket: Socket): void {
  if (socket.writable) {
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  }
  socket.destroy();
}
