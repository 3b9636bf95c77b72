import { isPinfoldError, PinfoldError } from '../../model/errors.ts';
import type { Clock, Timer, Timers } from '../../runtime/clock.ts';
import type { PeerCodecs } from '../codecs.ts';
import { RPC_SILENCE_MAX_MS, RPC_TRAILER_BYTES_MAX, RPC_WRITE_TIMEOUT_MS } from '../constants.ts';
import type { NetworkMetrics } from '../metrics.ts';
import type { PeerRpc } from '../network.ts';
import type { PeerMethod, PeerRpcRequests, PeerRpcResponses } from '../peer-methods.ts';
import { peerMethodName, peerMethods } from '../peer-methods.ts';
import { Admission } from './admission.ts';
import type { Frame, FramePipe } from './frame.ts';
import { FRAME, FrameError, NO_PAYLOAD } from './frame.ts';
import { encodeHead } from './head.ts';
import { withPipeTimeout } from './pipe-timeout.ts';
import { decodeMessage } from './served-call.ts';
import { decodeTrailer } from './trailer.ts';

export interface RpcClientNeeds {
  /** A stream to the peer that no call is using. Rejects with PEER_UNREACHABLE, LIMIT_REACHED or the signal's reason. */
  open(peerId: string, options: { signal: AbortSignal }): Promise<FramePipe>;
  /** Takes back a stream on which a call has ended cleanly. */
  recycle(peerId: string, pipe: FramePipe): void;
  codecs: PeerCodecs;
  clock: Clock;
  timers: Timers;
  metrics: NetworkMetrics;
}

type Requests<M extends PeerMethod> = AsyncIterable<PeerRpcRequests[M]> | Iterable<PeerRpcRequests[M]>;

/** Frames of a caller are gathered up to this many bytes before they are sent in one piece. */
const GATHERED_BYTES_MAX = 64 * 1024;

/** Makes calls to other peers. */
export class RpcClient {
  readonly #needs: RpcClientNeeds;
  readonly #admission = new Admission();

  constructor(needs: RpcClientNeeds) {
    this.#needs = needs;
  }

  /** As `PeerRpc.call`. Nothing happens before the first response is asked for. */
  async *call<M extends PeerMethod>(
    peerId: string,
    method: M,
    requests: Requests<M>,
    options: { signal: AbortSignal },
  ): AsyncGenerator<PeerRpcResponses[M], void, undefined> {
    const { askedMax } = peerMethods[method];
    const release = this.#admission.enter(method, '', { max: askedMax, perPeerMax: askedMax });
    if (release === undefined) {
      throw new PinfoldError('LIMIT_REACHED', `this peer asks others for ${peerMethodName(method)} as often as it may`);
    }
    const call = new MadeCall(this.#needs, peerId, method, options.signal);
    let code = 'CANCELLED';
    try {
      yield* call.run(requests);
      code = 'OK';
    } catch (error) {
      const failure = call.toPinfoldError(error);
      code = failure.code;
      throw failure;
    } finally {
      call.end();
      release();
      this.#needs.metrics.rpcCalls.add(1, { method: peerMethodName(method), side: 'caller', code });
    }
  }
}

/** One call at the caller. */
class MadeCall<M extends PeerMethod> {
  readonly #needs: RpcClientNeeds;
  readonly #peerId: string;
  readonly #method: M;
  readonly #signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #onAbort = () => this.#fail(cancelled(this.#signal.reason));
  readonly #deadline: Timer | undefined;
  #silence: Timer | undefined;
  #readingSinceMs: number | undefined;
  #pipe: FramePipe | undefined;
  #source: AsyncIterator<PeerRpcRequests[M]> | Iterator<PeerRpcRequests[M]> | undefined;
  #sent = false;
  #answered = false;

  constructor(needs: RpcClientNeeds, peerId: string, method: M, signal: AbortSignal) {
    this.#needs = needs;
    this.#peerId = peerId;
    this.#method = method;
    this.#signal = signal;
    const { deadlineMs } = peerMethods[method];
    if (deadlineMs !== undefined) {
      const late = new PinfoldError('DEADLINE', `${peerMethodName(method)} took longer than ${deadlineMs} ms`);
      this.#deadline = needs.timers.after(deadlineMs, () => this.#fail(late));
    }
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  async *run(requests: Requests<M>): AsyncGenerator<PeerRpcResponses[M], void, undefined> {
    this.#controller.signal.throwIfAborted();
    const pipe = await this.#needs.open(this.#peerId, { signal: this.#controller.signal });
    this.#pipe = pipe;
    if (this.#controller.signal.aborted) throw this.#controller.signal.reason;
    this.#watchSilence();
    const askedMs = this.#needs.clock.monotonicMs();
    let isFirst = true;
    this.#send(pipe, requests).catch((error: unknown) => this.#sendingFailed(error));
    for (;;) {
      const frame = await this.#read(pipe);
      if (isFirst && frame.kind !== FRAME.ALIVE) {
        isFirst = false;
        const seconds = (this.#needs.clock.monotonicMs() - askedMs) / 1_000;
        this.#needs.metrics.rpcAnswerSeconds.observe(seconds, { method: peerMethodName(this.#method) });
      }
      if (frame.kind === FRAME.MESSAGE) {
        yield decodeMessage(this.#needs.codecs[this.#method].response, frame.payload);
      } else if (frame.kind === FRAME.TRAILER) {
        return this.#conclude(frame.payload);
      } else if (frame.kind !== FRAME.ALIVE) {
        throw new FrameError('malformed', 'a call is answered with messages and a trailer');
      }
    }
  }

  /** To be called once, however the call ended. The stream is kept only if both sides have said their last word. */
  end(): void {
    this.#deadline?.cancel();
    this.#silence?.cancel();
    this.#signal.removeEventListener('abort', this.#onAbort);
    if (!this.#sent) this.#leaveSource();
    if (this.#pipe === undefined) return;
    if (this.#sent && this.#answered && !this.#pipe.closed) this.#needs.recycle(this.#peerId, this.#pipe);
    else this.#pipe.abort(new PinfoldError('CANCELLED', 'the call was left'));
  }

  toPinfoldError(error: unknown): PinfoldError {
    const failure = this.#controller.signal.aborted ? this.#controller.signal.reason : error;
    if (isPinfoldError(failure)) return failure;
    if (failure instanceof FrameError) {
      this.#needs.metrics.rpcRefused.add(1, { reason: failure.reason });
      const facts = { peerId: this.#peerId, reason: failure.reason };
      return new PinfoldError('PEER_UNREACHABLE', 'the peer broke off, or does not speak as it should', {
        facts,
        cause: failure,
      });
    }
    return unreachable(this.#peerId, failure);
  }

  #fail(reason: PinfoldError): void {
    if (this.#controller.signal.aborted) return;
    this.#controller.abort(reason);
    this.#pipe?.abort(reason);
  }

  async #read(pipe: FramePipe): Promise<Frame> {
    this.#readingSinceMs = this.#needs.clock.monotonicMs();
    const frame = await pipe.read(Math.max(peerMethods[this.#method].responseBytesMax, RPC_TRAILER_BYTES_MAX));
    this.#readingSinceMs = undefined;
    if (frame === undefined) throw unreachable(this.#peerId, undefined);
    return frame;
  }

  /** One timer now and then, instead of one a frame. */
  #watchSilence(): void {
    this.#silence = this.#needs.timers.after(RPC_SILENCE_MAX_MS / 4, () => {
      const since = this.#readingSinceMs;
      if (since !== undefined && this.#needs.clock.monotonicMs() - since >= RPC_SILENCE_MAX_MS) {
        this.#needs.metrics.rpcRefused.add(1, { reason: 'silent' });
        this.#fail(unreachable(this.#peerId, new FrameError('silent', 'the peer says nothing')));
      } else {
        this.#watchSilence();
      }
    });
  }

  async #send(pipe: FramePipe, requests: Requests<M>): Promise<void> {
    const gathered: Frame[] = [{ kind: FRAME.HEAD, payload: encodeHead(peerMethodName(this.#method)) }];
    let gatheredBytes = 0;
    const flush = async () => {
      const room = pipe.write(gathered.splice(0));
      gatheredBytes = 0;
      if (room !== undefined) {
        const limit = { ms: RPC_WRITE_TIMEOUT_MS, reason: 'slow_reader' } as const;
        await withPipeTimeout(this.#needs.timers, pipe, room, limit);
      }
    };
    const isReady = Symbol.iterator in requests;
    const source = isReady ? requests[Symbol.iterator]() : requests[Symbol.asyncIterator]();
    this.#source = source;
    for (;;) {
      const next = await source.next();
      if (this.#answered || pipe.closed) return;
      if (next.done === true) break;
      const frame = this.#encode(next.value);
      gathered.push(frame);
      gatheredBytes += frame.payload.length;
      if (!isReady || gatheredBytes >= GATHERED_BYTES_MAX) await flush();
    }
    gathered.push({ kind: FRAME.END, payload: NO_PAYLOAD });
    this.#sent = true;
    await flush();
  }

  #encode(request: PeerRpcRequests[M]): Frame {
    const payload = this.#needs.codecs[this.#method].request.encode(request);
    const { requestBytesMax } = peerMethods[this.#method];
    if (payload.length <= requestBytesMax) return { kind: FRAME.MESSAGE, payload };
    const name = peerMethodName(this.#method);
    throw new PinfoldError('INVALID_ARGUMENT', `a request of ${name} has more than ${requestBytesMax} bytes`);
  }

  /** The requests may still be waiting for something; they learn that nobody wants them when they come to it. */
  #leaveSource(): void {
    const left = async () => {
      await this.#source?.return?.();
    };
    left().catch(() => {});
  }

  #sendingFailed(error: unknown): void {
    if (!this.#answered) this.#fail(isPinfoldError(error) ? error : this.toPinfoldError(error));
  }

  #conclude(trailer: Uint8Array): void {
    const error = decodeTrailer(trailer);
    this.#answered = true;
    if (error !== undefined) throw error;
  }
}

/** The callee's only response. Rejects with PinfoldError; INTERNAL when the callee sent none. */
export async function callUnary<M extends PeerMethod>(
  rpc: Pick<PeerRpc, 'call'>,
  peerId: string,
  method: M,
  request: PeerRpcRequests[M],
  options: { signal: AbortSignal },
): Promise<PeerRpcResponses[M]> {
  let answer: PeerRpcResponses[M] | undefined;
  for await (const response of rpc.call(peerId, method, [request], options)) answer = response;
  if (answer === undefined) throw new PinfoldError('INTERNAL', 'the peer answered nothing', { facts: { peerId } });
  return answer;
}

export function unreachable(peerId: string, cause: unknown): PinfoldError {
  return new PinfoldError('PEER_UNREACHABLE', 'the peer does not answer', { facts: { peerId }, cause });
}

/** A signal's reason as one of ours: DEADLINE for a timeout, CANCELLED for anything that is not ours already. */
export function cancelled(reason: unknown): PinfoldError {
  if (isPinfoldError(reason)) return reason;
  if (reason instanceof Error && reason.name === 'TimeoutError') {
    return new PinfoldError('DEADLINE', 'the deadline passed', { cause: reason });
  }
  return new PinfoldError('CANCELLED', 'the call was cancelled', { cause: reason });
}
