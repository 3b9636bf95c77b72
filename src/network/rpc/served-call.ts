import type { ErrorCode } from '../../model/errors.ts';
import { isPinfoldError, PinfoldError } from '../../model/errors.ts';
import type { Timer } from '../../runtime/clock.ts';
import {
  RPC_ALIVE_INTERVAL_MS,
  RPC_DRAIN_TIMEOUT_MS,
  RPC_REQUEST_TIMEOUT_MS,
  RPC_WRITE_TIMEOUT_MS,
} from '../constants.ts';
import type { PeerMethod, PeerRpcHandlers, PeerRpcRequests, PeerRpcResponses } from '../peer-methods.ts';
import { peerMethodName, peerMethods } from '../peer-methods.ts';
import { Abortable } from './abortable.ts';
import type { Frame, FramePipe } from './frame.ts';
import { FRAME, FrameError, NO_PAYLOAD } from './frame.ts';
import { withPipeTimeout } from './pipe-timeout.ts';
import type { RpcServerNeeds } from './server.ts';
import { encodeTrailer } from './trailer.ts';

interface ServedCallInit<M extends PeerMethod> {
  pipe: FramePipe;
  peerId: string;
  method: M;
  handler: PeerRpcHandlers[M];
}

const alive: Frame = { kind: FRAME.ALIVE, payload: NO_PAYLOAD };

/** One call at the callee, from after its head to after its trailer. */
export class ServedCall<M extends PeerMethod> {
  /** Resolves when the handler has ended, which may be after `run` if it does not obey its signal. */
  readonly settled: Promise<void>;
  readonly #settle: () => void;
  readonly #needs: RpcServerNeeds;
  readonly #init: ServedCallInit<M>;
  readonly #controller = new AbortController();
  #requestsEnded = false;
  #reading: Promise<Frame> | undefined;
  #writing = false;
  #wroteSinceAlive = false;

  constructor(needs: RpcServerNeeds, init: ServedCallInit<M>) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.settled = promise;
    this.#settle = resolve;
    this.#needs = needs;
    this.#init = init;
  }

  abort(reason: PinfoldError): void {
    this.#controller.abort(reason);
  }

  /** Resolves with the code answered, the stream being free for the next call. Rejects when the stream must go. */
  async run(): Promise<ErrorCode | 'OK'> {
    const { pipe, method } = this.#init;
    const unsubscribe = pipe.onClose(() => this.abort(new PinfoldError('CANCELLED', 'the caller went away')));
    const timers = this.#startTimers(peerMethods[method].deadlineMs);
    try {
      return await this.#answer();
    } finally {
      unsubscribe();
      for (const timer of timers) timer.cancel();
    }
  }

  #startTimers(deadlineMs: number | undefined): { cancel(): void }[] {
    const timers: { cancel(): void }[] = [this.#keepAlive()];
    if (deadlineMs !== undefined) {
      const expired = () => this.abort(new PinfoldError('DEADLINE', `the call took longer than ${deadlineMs} ms`));
      timers.push(this.#needs.timers.after(deadlineMs, expired));
    }
    return timers;
  }

  /** Says that this peer is there when the handler has had nothing to say, and the caller has taken what it had. */
  #keepAlive(): { cancel(): void } {
    let timer: Timer;
    const beat = () => {
      timer = this.#needs.timers.after(RPC_ALIVE_INTERVAL_MS, beat);
      if (!this.#wroteSinceAlive && !this.#writing && !this.#init.pipe.closed) void this.#send([alive]).catch(() => {});
      this.#wroteSinceAlive = false;
    };
    timer = this.#needs.timers.after(RPC_ALIVE_INTERVAL_MS, beat);
    return { cancel: () => timer.cancel() };
  }

  async #answer(): Promise<ErrorCode | 'OK'> {
    const { pipe } = this.#init;
    let failure: PinfoldError | undefined;
    let held: Frame[] = [];
    try {
      held = await this.#respond();
    } catch (error) {
      // Nothing can be answered on a stream that broke, and nothing should on one that broke the rules.
      if (error instanceof FrameError || pipe.closed) throw pipe.failure ?? error;
      failure = this.#toPinfoldError(error);
    }
    await this.#send([...held, { kind: FRAME.TRAILER, payload: encodeTrailer(failure) }]);
    if (!this.#requestsEnded) {
      const limit = { ms: RPC_DRAIN_TIMEOUT_MS, reason: 'silent' } as const;
      await withPipeTimeout(this.#needs.timers, pipe, this.#drainRequests(), limit);
    }
    return failure?.code ?? 'OK';
  }

  /** Sends what the handler yields; the response of a unary call is returned, to go out with the trailer. */
  async #respond(): Promise<Frame[]> {
    const { handler, peerId, method } = this.#init;
    const { kind } = peerMethods[method];
    const abortable = new Abortable(this.#controller.signal);
    const responses = this.#begin(() => handler(this.#requests(), { peerId, signal: this.#controller.signal }));
    const held: Frame[] = [];
    try {
      for (;;) {
        const next = await abortable.wait(responses.next());
        if (next.done === true) break;
        const frame = this.#encode(next.value);
        if (kind !== 'unary') await this.#send([frame]);
        else if (held.push(frame) > 1) throw new Error(`${method} answered twice`);
      }
      if (kind === 'unary' && held.length !== 1) throw new Error(`${method} answered nothing`);
      return held;
    } finally {
      abortable.release();
      this.#end(responses);
    }
  }

  #begin(start: () => AsyncIterable<PeerRpcResponses[M]>): AsyncIterator<PeerRpcResponses[M]> {
    try {
      return start()[Symbol.asyncIterator]();
    } catch (error) {
      this.#settle();
      throw error;
    }
  }

  /** A handler that is still at work hears of it by its signal; `return` takes effect when it yields or ends. */
  #end(responses: AsyncIterator<PeerRpcResponses[M]>): void {
    if (!this.#controller.signal.aborted) this.#controller.abort(new PinfoldError('CANCELLED', 'the call has ended'));
    const failed = (error: unknown) => {
      if (!isPinfoldError(error)) this.#needs.logger.debug('a handler failed while being ended', { error });
    };
    Promise.resolve(responses.return?.()).catch(failed).finally(this.#settle);
  }

  #encode(response: PeerRpcResponses[M]): Frame {
    const { method } = this.#init;
    const payload = this.#needs.codecs[method].response.encode(response);
    const { responseBytesMax } = peerMethods[method];
    if (payload.length <= responseBytesMax) return { kind: FRAME.MESSAGE, payload };
    throw new Error(`a response of ${method} has ${payload.length} bytes, at most ${responseBytesMax} are allowed`);
  }

  async #send(frames: readonly Frame[]): Promise<void> {
    const { pipe } = this.#init;
    this.#wroteSinceAlive = true;
    const room = pipe.write(frames);
    if (room === undefined) return;
    this.#writing = true;
    try {
      await withPipeTimeout(this.#needs.timers, pipe, room, { ms: RPC_WRITE_TIMEOUT_MS, reason: 'slow_reader' });
    } finally {
      this.#writing = false;
    }
  }

  async *#requests(): AsyncGenerator<PeerRpcRequests[M]> {
    const { pipe, method } = this.#init;
    for (;;) {
      const limit = { ms: RPC_REQUEST_TIMEOUT_MS, reason: 'silent' } as const;
      const frame = await withPipeTimeout(this.#needs.timers, pipe, this.#readRequest(), limit);
      if (frame.kind === FRAME.END) return;
      yield decodeMessage(this.#needs.codecs[method].request, frame.payload);
    }
  }

  /** Draining may begin while a handler that was ended still waits for its next request: both get the same one. */
  #readRequest(): Promise<Frame> {
    this.#reading ??= this.#readOneRequest().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readOneRequest(): Promise<Frame> {
    const { pipe, method } = this.#init;
    if (this.#requestsEnded) return { kind: FRAME.END, payload: NO_PAYLOAD };
    const frame = await pipe.read(peerMethods[method].requestBytesMax);
    if (frame === undefined) throw new FrameError('truncated', 'the stream ended within a call');
    if (frame.kind === FRAME.END) this.#requestsEnded = true;
    else if (frame.kind !== FRAME.MESSAGE) throw new FrameError('malformed', 'a call goes on with messages or its end');
    return frame;
  }

  async #drainRequests(): Promise<void> {
    while (!this.#requestsEnded) await this.#readRequest();
  }

  #toPinfoldError(error: unknown): PinfoldError {
    if (isPinfoldError(error)) return error;
    const { method, peerId } = this.#init;
    this.#needs.logger.error('a handler of peer calls failed', { method: peerMethodName(method), peerId, error });
    return new PinfoldError('INTERNAL', 'the callee failed; its log has more', { cause: error });
  }
}

export function decodeMessage<T>(codec: { decode(bytes: Uint8Array): T }, payload: Uint8Array): T {
  try {
    return codec.decode(payload);
  } catch (cause) {
    throw new FrameError('malformed', 'a message cannot be read', cause);
  }
}
