import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type MethodDefinition, Server, ServerCredentials, type UntypedHandleCall } from '@grpc/grpc-js';
import { PinfoldError } from '../../model/errors.ts';
import { keepaliveMs, messageBytesMax } from '../constants.ts';
import type { Mounted, MountedMethod } from '../handlers.ts';
import { type GrpcCallNeeds, handlerOf } from './calls.ts';

/** Native gRPC. */
export interface GrpcServer {
  /** Resolves with the port, which is of interest when the one asked for was 0. */
  start(): Promise<number>;
  /** Ends the calls with SHUTTING_DOWN and closes the connections, with force those that do not close in time. */
  stop(): Promise<void>;
}

export interface GrpcServerInit {
  host: string;
  port: number;
  /** Default `keepaliveMs`. */
  keepaliveMs?: number;
}

export interface GrpcServerNeeds extends GrpcCallNeeds {
  services: readonly Mounted[];
  /** Adds services of their own kind (health, reflection) before it listens. */
  extend: (server: Server) => void;
}

export function grpcServer(init: GrpcServerInit, needs: GrpcServerNeeds): GrpcServer {
  const server = new Server({
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.max_concurrent_streams': streamsPerConnectionMax,
    // Pings more often than this are answered with GOAWAY: a caller's fault must not cost us.
    'grpc.http2.min_time_between_pings_ms': 1_000,
    // A client whose machine is gone says nothing: its calls would stay open for ever.
    'grpc.keepalive_time_ms': init.keepaliveMs ?? keepaliveMs,
    'grpc.keepalive_timeout_ms': init.keepaliveMs ?? keepaliveMs,
    // Its registry keeps a record of every connection and call, for a service that we do not offer.
    'grpc.enable_channelz': 0,
  });
  for (const { service, methods } of needs.services) {
    const definition: Record<string, MethodDefinition<Uint8Array, Uint8Array>> = {};
    const handlers: Record<string, UntypedHandleCall> = {};
    for (const method of methods) {
      definition[method.desc.localName] = definitionOf(method, service.typeName);
      handlers[method.desc.localName] = handlerOf(method, needs);
    }
    server.addService(definition, handlers);
  }
  needs.extend(server);
  // grpc-js leaves connections open whose client does not answer its goodbye, and the process with them; so they are ours.
  const connections = new Set<Socket>();
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = createServer({ noDelay: true }, (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    injector.injectConnection(socket);
  });
  return {
    start: () =>
      new Promise((resolve, reject) => {
        listener.once('error', (error) => reject(cannotListen(`${init.host}:${init.port}`, error)));
        listener.listen(init.port, init.host, () => resolve((listener.address() as AddressInfo).port));
      }),
    async stop() {
      listener.close();
      await needs.scopes.closeAll();
      // It waits for every stream of every connection, also those whose client has stopped reading.
      const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      if (!(await needs.scopes.inTime(closed))) server.forceShutdown();
      // What was said last may still be on its way; who does not close then is cut off.
      const left = [...connections].map((socket) => once(socket, 'close'));
      await needs.scopes.inTime(Promise.allSettled(left).then(() => {}));
      for (const socket of connections) socket.destroy();
    },
  };
}

/** Calls that one client may have open on one connection. */
const streamsPerConnectionMax = 1_000;

function cannotListen(address: string, cause: Error): PinfoldError {
  return new PinfoldError(
    'CONFIG_INVALID',
    `gRPC cannot listen on ${address} (${cause.message}); is another daemon running? Change api.grpcListen or stop it`,
    { cause },
  );
}

/** Messages pass grpc-js as bytes: what it says of those it cannot read or write has no details, and counts nowhere. */
function definitionOf({ desc, kind }: MountedMethod, service: string): MethodDefinition<Uint8Array, Uint8Array> {
  const serialize = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const deserialize = (bytes: Buffer) => bytes;
  return {
    path: `/${service}/${desc.name}`,
    requestStream: kind === 'bidi_streaming',
    responseStream: kind !== 'unary',
    requestSerialize: serialize,
    requestDeserialize: deserialize,
    responseSerialize: serialize,
    responseDeserialize: deserialize,
  };
}
