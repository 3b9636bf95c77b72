import type { ServerHttp2Stream } from 'node:http2';
import { toBinary } from '@bufbuild/protobuf';
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type StatusObject,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { encodedForm } from '../../model/encoded-form.ts';
import { isPinfoldError, PinfoldError } from '../../model/errors.ts';
import { statusCode } from '../../model/google-status.ts';
import { iterateUntil, raceSignal } from '../../runtime/abort.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { CallScope, CallScopes } from '../call-scope.ts';
import { messageBytesMax } from '../constants.ts';
import { decodedForm } from '../decoded-form.ts';
import { publicError, statusDetailsTrailer } from '../errors.ts';
import type { MountedMethod } from '../handlers.ts';
import type { ApiMetrics } from '../metrics.ts';
import { requestsUntil } from '../streams.ts';

export interface GrpcCallNeeds {
  scopes: CallScopes;
  logger: Logger;
  metrics: ApiMetrics;
}

/** One handler as grpc-js takes it. Nothing thrown in here may reach grpc-js: it would end the process. */
export function handlerOf(method: MountedMethod, needs: GrpcCallNeeds): UntypedHandleCall {
  switch (method.kind) {
    case 'unary': {
      const handle: handleUnaryCall<Uint8Array, Uint8Array> = (call, callback) => {
        const answering = begin(call, method, needs);
        answering
          .run(async (scope) => encode(method, await method.handle(decode(method, call.request), scope.context)))
          .then((outcome) => (outcome.ok ? callback(null, outcome.value) : callback(outcome.status)))
          .catch(answering.unsendable);
      };
      return handle;
    }
    case 'server_streaming': {
      const handle: handleServerStreamingCall<Uint8Array, Uint8Array> = (call) => {
        const answering = begin(call, method, needs);
        pump(call, method, answering, (scope) => method.handle(decode(method, call.request), scope.context)).catch(
          answering.unsendable,
        );
      };
      return handle;
    }
    case 'bidi_streaming': {
      const handle: handleBidiStreamingCall<Uint8Array, Uint8Array> = (call) => {
        const answering = begin(call, method, needs);
        pump(call, method, answering, (scope) =>
          method.handle(requestsOf(call, method, scope, needs), scope.context),
        ).catch(answering.unsendable);
      };
      return handle;
    }
  }
}

type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, 'getDeadline' | 'metadata'> & {
  on(event: 'cancelled', listener: () => void): unknown;
};

type Ended<T> = { ok: true; value: T } | { ok: false; status: StatusObject & Error };

interface Answering {
  /** Runs one call: its scope, its end by deadline or abort whatever the handler does, its place in the metrics. Never rejects. */
  run<T>(work: (scope: CallScope) => Promise<T>): Promise<Ended<T>>;
  unsendable(error: unknown): void;
}

function begin(call: AnyCall, method: MountedMethod, needs: GrpcCallNeeds): Answering {
  const name = `${method.desc.parent.name}/${method.desc.name}`;
  return {
    unsendable: (error) => needs.logger.error('an answer could not be sent', { method: name, error }),
    async run(work) {
      let scope: CallScope | undefined;
      try {
        scope = openScope(call, needs);
        const { signal } = scope.context;
        signal.throwIfAborted();
        const value = await raceSignal(work(scope), signal);
        needs.metrics.called(name, 'OK');
        return { ok: true, value };
      } catch (error) {
        return { ok: false, status: statusOf(error, name, needs) };
      } finally {
        scope?.end();
      }
    },
  };
}

function openScope(call: AnyCall, needs: GrpcCallNeeds): CallScope {
  const deadline = call.getDeadline();
  const deadlineMs = deadline instanceof Date ? deadline.getTime() : deadline;
  const credentials = call.metadata.get('authorization')[0]?.toString();
  const scope = needs.scopes.open(credentials, Number.isFinite(deadlineMs) ? deadlineMs : undefined);
  call.on('cancelled', scope.cancel);
  return scope;
}

function decode({ desc }: MountedMethod, bytes: Uint8Array): unknown {
  try {
    return decodedForm(desc.input, bytes);
  } catch (cause) {
    throw new PinfoldError('INVALID_ARGUMENT', `the bytes are not a ${desc.input.typeName}`, { cause });
  }
}

function encode({ desc }: MountedMethod, message: unknown): Uint8Array {
  const bytes = encodedForm(message) ?? toBinary(desc.output, message as never);
  if (bytes.length <= messageBytesMax) return bytes;
  throw new PinfoldError(
    'LIMIT_REACHED',
    `the answer has ${bytes.length} bytes; a message has at most ${messageBytesMax}`,
  );
}

/** What the client sends. A client that is cut off never looks like one that has finished. */
function requestsOf(
  call: ServerDuplexStream<Uint8Array, Uint8Array>,
  method: MountedMethod,
  scope: CallScope,
  needs: GrpcCallNeeds,
): AsyncIterable<unknown> {
  const { signal } = scope.context;
  async function* messages(): AsyncGenerator<unknown, void> {
    for await (const bytes of read(call)) yield decode(method, bytes);
    // A broken stream may end like a finished one, and be reset only then; and grpc-js says later still that it was cancelled.
    await needs.scopes.settled();
    signal.throwIfAborted();
    if (isCut(call)) throw new PinfoldError('CANCELLED', 'the caller has gone away');
  }
  return requestsUntil(messages(), signal, (cause) =>
    isPinfoldError(cause) ? cause : new PinfoldError('CANCELLED', 'the caller has gone away', { cause }),
  );
}

/** Of grpc-js: calls lie in calls, and the innermost has the stream. */
interface CallLayer {
  call?: CallLayer;
  nextCall?: CallLayer;
  stream?: Pick<ServerHttp2Stream, 'closed' | 'destroyed'>;
}

/** Whether requests that have ended were cut off: the HTTP/2 stream of one that the client has finished is open for the answer. */
function isCut(call: unknown): boolean {
  let layer = (call as CallLayer).call;
  while (layer !== undefined && layer.stream === undefined) layer = layer.nextCall;
  if (layer?.stream === undefined) throw new Error('grpc-js no longer shows the stream of a call');
  return layer.stream.closed || layer.stream.destroyed;
}

/**
 * By hand, because the iterator of a stream destroys it when it is left or when it fails, and failing is how grpc-js is told of a
 * status: an answer that was not sent yet would be lost, and the client would wait for ever.
 */
async function* read(call: ServerDuplexStream<Uint8Array, Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let wake = () => {};
  let isOver = false;
  const over = () => {
    isOver = true;
    wake();
  };
  call.on('readable', () => wake());
  call.once('end', over);
  call.once('close', over);
  for (;;) {
    const bytes: Uint8Array | null = call.read();
    if (bytes !== null) yield bytes;
    else if (isOver) break;
    else {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  if (!call.readableEnded) throw new PinfoldError('CANCELLED', 'the caller has gone away');
}

type Outgoing = ServerWritableStream<Uint8Array, Uint8Array> | ServerDuplexStream<Uint8Array, Uint8Array>;

/** Sends what the handler yields, no faster than the client reads (grpc-js buffers without bound otherwise). */
async function pump(
  call: Outgoing,
  method: MountedMethod,
  answering: Answering,
  handle: (scope: CallScope) => AsyncIterable<unknown>,
): Promise<void> {
  const outcome = await answering.run(async (scope) => {
    const { signal } = scope.context;
    for await (const response of iterateUntil(handle(scope), signal)) {
      if (!call.write(encode(method, response))) await drained(call, signal);
    }
  });
  if (outcome.ok) call.end();
  else call.emit('error', outcome.status);
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

function statusOf(error: unknown, method: string, needs: GrpcCallNeeds): StatusObject & Error {
  const shown = publicError(error);
  needs.metrics.called(method, shown.code);
  if (shown.code === 'INTERNAL') needs.logger.error('a call failed unexpectedly', { method, error });
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(statusDetailsTrailer(shown)));
  return Object.assign(new Error(shown.message), { code: statusCode(shown), details: shown.message, metadata });
}
