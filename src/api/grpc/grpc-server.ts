import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type StatusObject,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { PinfoldError } from '../../model/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { CallScope, CallScopes } from '../call-scope.ts';
import { messageBytesMax } from '../constants.ts';
import { publicError, statusCode, statusDetailsTrailer } from '../errors.ts';
import type { Mounted, MountedMethod } from '../handlers.ts';
import type { ApiMetrics } from '../metrics.ts';

type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, 'getDeadline' | 'metadata'> & {
  on(event: 'cancelled', listener: () => void): unknown;
};

/** Native gRPC. `extend` adds services of their own kind (health, reflection) before it listens. */
export interface GrpcServer {
  /** Resolves with the port, which is of interest when the one asked for was 0. */
  start(): Promise<number>;
  stop(): Promise<void>;
}

export interface GrpcServerInit {
  host: string;
  port: number;
}

export interface GrpcServerNeeds {
  services: readonly Mounted[];
  extend: (server: Server) => void;
  scopes: CallScopes;
  logger: Logger;
  metrics: ApiMetrics;
}

export function grpcServer(init: GrpcServerInit, needs: GrpcServerNeeds): GrpcServer {
  const server = new Server({
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    // Pings more often than this are answered with GOAWAY: a caller's fault must not cost us.
    'grpc.http2.min_time_between_pings_ms': 1_000,
  });
  for (const { service, methods } of needs.services) {
    const definition: Record<string, MethodDefinition<unknown, unknown>> = {};
    const handlers: Record<string, UntypedHandleCall> = {};
    for (const method of methods) {
      definition[method.desc.localName] = definitionOf(method, service.typeName);
      handlers[method.desc.localName] = handlerOf(method, needs);
    }
    server.addService(definition, handlers);
  }
  needs.extend(server);
  return {
    start: () =>
      new Promise((resolve, reject) => {
        const host = init.host.includes(':') ? `[${init.host}]` : init.host;
        server.bindAsync(`${host}:${init.port}`, ServerCredentials.createInsecure(), (error, port) => {
          if (error === null) resolve(port);
          else reject(cannotListen(`${host}:${init.port}`, error));
        });
      }),
    stop: () =>
      new Promise((resolve) => {
        needs.scopes.closeAll();
        server.tryShutdown(() => resolve());
      }),
  };
}

function cannotListen(address: string, cause: Error): PinfoldError {
  return new PinfoldError(
    'CONFIG_INVALID',
    `gRPC cannot listen on ${address} (${cause.message}); is another daemon running? Change api.grpcPort or stop it`,
    { cause },
  );
}

function definitionOf(method: MountedMethod, service: string): MethodDefinition<unknown, unknown> {
  const { desc, kind } = method;
  return {
    path: `/${service}/${desc.name}`,
    requestStream: kind === 'bidi_streaming',
    responseStream: kind !== 'unary',
    ...codec('request', desc.input),
    ...codec('response', desc.output),
  } as MethodDefinition<unknown, unknown>;
}

function codec<D extends DescMessage>(side: 'request' | 'response', schema: D): object {
  return {
    [`${side}Serialize`]: (message: MessageShape<D>) => {
      const bytes = toBinary(schema, message);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    [`${side}Deserialize`]: (bytes: Buffer) => fromBinary(schema, bytes),
  };
}

function handlerOf(method: MountedMethod, needs: GrpcServerNeeds): UntypedHandleCall {
  const name = `${method.desc.parent.name}/${method.desc.name}`;
  const failed = (error: unknown) => statusOf(error, name, needs);
  switch (method.kind) {
    case 'unary': {
      const unary: handleUnaryCall<unknown, unknown> = (call, callback) => {
        const scope = openScope(call, needs);
        untilAborted(method.handle(call.request, scope.context), scope)
          .then(
            (response) => {
              needs.metrics.called(name, 'OK');
              callback(null, response);
            },
            (error) => callback(failed(error)),
          )
          .finally(scope.end);
      };
      return unary;
    }
    case 'server_streaming': {
      const stream: handleServerStreamingCall<unknown, unknown> = (call) => {
        const scope = openScope(call, needs);
        pump(() => method.handle(call.request, scope.context), call, scope, name, needs);
      };
      return stream;
    }
    case 'bidi_streaming': {
      const stream: handleBidiStreamingCall<unknown, unknown> = (call) => {
        const scope = openScope(call, needs);
        pump(() => method.handle(call, scope.context), call, scope, name, needs);
      };
      return stream;
    }
  }
}

function openScope(call: AnyCall, needs: GrpcServerNeeds): CallScope {
  const deadline = call.getDeadline();
  const deadlineMs = deadline instanceof Date ? deadline.getTime() : deadline;
  const credentials = call.metadata.get('authorization')[0]?.toString();
  const scope = needs.scopes.open(credentials, Number.isFinite(deadlineMs) ? deadlineMs : undefined);
  call.on('cancelled', scope.cancel);
  return scope;
}

/** The handler's answer, or the reason of the abort if that comes first: no call outlives its deadline. */
function untilAborted<T>(answer: Promise<T>, { context: { signal } }: CallScope): Promise<T> {
  if (signal.aborted) {
    answer.catch(() => {});
    return Promise.reject(signal.reason);
  }
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

type Outgoing = ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>;

/** Sends what the handler yields, no faster than the client reads (grpc-js buffers without bound otherwise). */
async function pump(
  handle: () => AsyncIterable<unknown>,
  call: Outgoing,
  scope: CallScope,
  name: string,
  needs: GrpcServerNeeds,
): Promise<void> {
  const { signal } = scope.context;
  let responses: AsyncIterator<unknown> | undefined;
  try {
    responses = handle()[Symbol.asyncIterator]();
    for (;;) {
      const next = await untilAborted(responses.next(), scope);
      if (next.done) break;
      if (!call.write(next.value)) await drained(call, signal);
    }
    needs.metrics.called(name, 'OK');
    call.end();
  } catch (error) {
    // Not awaited: a handler that hangs must not keep its caller from hearing of the deadline.
    responses?.return?.()?.catch(() => {});
    call.emit('error', statusOf(error, name, needs));
  } finally {
    scope.end();
  }
}

function drained(call: Outgoing, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (then: () => void) => () => {
      call.removeListener('drain', onDrain);
      signal.removeEventListener('abort', onAbort);
      then();
    };
    const onDrain = settle(resolve);
    const onAbort = settle(() => reject(signal.reason));
    if (signal.aborted) return reject(signal.reason);
    call.on('drain', onDrain);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function statusOf(error: unknown, method: string, needs: GrpcServerNeeds): StatusObject & Error {
  const shown = publicError(error);
  needs.metrics.called(method, shown.code);
  if (shown.code === 'INTERNAL') needs.logger.error('a call failed unexpectedly', { method, error });
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(statusDetailsTrailer(shown)));
  return Object.assign(new Error(shown.message), { code: statusCode(shown), details: shown.message, metadata });
}
