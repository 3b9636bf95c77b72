import type { DescMessage, DescMethod } from '@bufbuild/protobuf';
import {
  create,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  type BadRequest,
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  type RetryInfo,
  RetryInfoSchema,
} from '../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { anonymous, type CallScopes, callScopes } from '../../src/api/call-scope.ts';
import { grpcServer } from '../../src/api/grpc/grpc-server.ts';
import { type Health, health } from '../../src/api/grpc/health.ts';
import { addReflection } from '../../src/api/grpc/reflection.ts';
import type { Mounted } from '../../src/api/handlers.ts';
import { httpServer } from '../../src/api/http/http-server.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { type Logger, silentLogger } from '../../src/runtime/logger.ts';

/** Both doors on free loopback ports, over real sockets, with what they counted and logged. */
export interface Doors {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly grpcHost: string;
  readonly httpUrl: string;
  readonly scopes: CallScopes;
  readonly health: Health;
  /** `Service/Method CODE` and `door status`, as often as counted. */
  readonly counted: string[];
  readonly refused: string[];
  readonly errors: Record<string, unknown>[];
  stop(): Promise<void>;
}

export async function openDoors(services: readonly Mounted[], keepaliveMs = 500): Promise<Doors> {
  const counted: string[] = [];
  const refused: string[] = [];
  const errors: Record<string, unknown>[] = [];
  const logger: Logger = { ...silentLogger, error: (message, data) => errors.push({ message, ...data }) };
  const scopes = callScopes({ clock: systemClock, timers: systemTimers, authenticate: anonymous });
  const metrics = {
    called: (method: string, code: string) => void counted.push(`${method} ${code}`),
    refused: (door: string, why: string) => void refused.push(`${door} ${why}`),
  };
  const descriptions = services.map(({ service }) => service);
  const serving = health(descriptions.map(({ typeName }) => typeName));
  const needs = { services, scopes, logger, metrics };
  const grpc = grpcServer(
    { host: '127.0.0.1', port: 0, keepaliveMs },
    {
      ...needs,
      extend(server) {
        serving.add(server);
        addReflection(server, descriptions);
      },
    },
  );
  const http = httpServer({ host: '127.0.0.1', port: 0 }, needs);
  const [grpcPort, httpPort] = await Promise.all([grpc.start(), http.start()]);
  let stopping: Promise<void> | undefined;
  return {
    grpcPort,
    httpPort,
    grpcHost: `127.0.0.1:${grpcPort}`,
    httpUrl: `http://127.0.0.1:${httpPort}`,
    scopes,
    health: serving,
    counted,
    refused,
    errors,
    stop() {
      stopping ??= Promise.all([grpc.stop(), http.stop()]).then(() => {});
      return stopping;
    },
  };
}

const buffer = (bytes: Uint8Array) => Buffer.from(bytes);

/** A client on grpc-js, which is not the implementation that our own clients use. */
export class GrpcClient {
  readonly client: Client;

  constructor(host: string, options: Record<string, unknown> = {}) {
    this.client = new Client(host, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1, ...options });
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: { deadline?: number } = {},
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        pathOf(method),
        (message: MessageShape<I>) => buffer(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes),
        create(method.input, request),
        options,
        (error, answer) => (error === null && answer !== undefined ? resolve(answer) : reject(error)),
      );
    });
  }

  /** Bytes as they are, in a unary call. */
  raw(path: string, bytes: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        path,
        buffer,
        (b) => b,
        bytes,
        (error, answer) => (error === null && answer !== undefined ? resolve(answer) : reject(error)),
      );
    });
  }

  serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    options: { deadline?: number } = {},
  ): ClientReadableStream<MessageShape<O>> {
    return this.client.makeServerStreamRequest(
      pathOf(method),
      (message: MessageShape<I>) => buffer(toBinary(method.input, message)),
      (bytes) => fromBinary(method.output, bytes),
      create(method.input, request),
      options,
    );
  }

  bidi<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    options: { deadline?: number } = {},
  ): ClientDuplexStream<MessageShape<I>, MessageShape<O>> {
    return this.client.makeBidiStreamRequest(
      pathOf(method),
      (message: MessageShape<I>) => buffer(toBinary(method.input, message)),
      (bytes) => fromBinary(method.output, bytes),
      options,
    );
  }

  close(): void {
    this.client.close();
  }
}

export const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

export interface Details {
  info: ErrorInfo | undefined;
  badRequest: BadRequest | undefined;
  retry: RetryInfo | undefined;
}

/** What a gRPC error carries in `grpc-status-details-bin`. */
export function detailsOf(error: unknown): Details {
  const metadata = (error as Partial<ServiceError>).metadata as Metadata | undefined;
  const trailer = metadata?.get('grpc-status-details-bin')[0];
  const status = trailer === undefined ? undefined : fromBinary(StatusSchema, trailer as Buffer);
  const find = <D extends DescMessage>(schema: D) => {
    for (const any of status?.details ?? []) {
      const found = anyUnpack(any, schema);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return { info: find(ErrorInfoSchema), badRequest: find(BadRequestSchema), retry: find(RetryInfoSchema) };
}

/** The failure of a promise; throws when there is none. */
export async function failureOf(promise: Promise<unknown>): Promise<Error & { code?: unknown }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it succeeded');
}

/** Waits until something holds; throws with `what` after the deadline. */
export async function eventually(what: string, holds: () => boolean, withinMs = 5_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not so within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
