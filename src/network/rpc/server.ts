import { isPinfoldError, PinfoldError } from '../../model/errors.ts';
import { type Clock, sleep, type Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { PeerCodecs } from '../codecs.ts';
import {
  RPC_DRAIN_TIMEOUT_MS,
  RPC_HEAD_BYTES_MAX,
  RPC_HEAD_TIMEOUT_MS,
  RPC_IDLE_STREAM_CALLEE_MS,
  RPC_RATE_REFUSAL_DELAY_MS,
  STOP_TIMEOUT_MS,
} from '../constants.ts';
import type { NetworkMetrics } from '../metrics.ts';
import type { PeerCaller, PeerMethod, PeerPolicy, PeerRpcHandlers } from '../peer-methods.ts';
import { peerMethodName, peerMethodOf, peerMethods } from '../peer-methods.ts';
import { Admission } from './admission.ts';
import type { Frame, FramePipe } from './frame.ts';
import { FRAME, FrameError } from './frame.ts';
import { decodeHead } from './head.ts';
import { withPipeTimeout } from './pipe-timeout.ts';
import { ServedCall } from './served-call.ts';
import { encodeTrailer } from './trailer.ts';

export interface RpcServerNeeds {
  policy: PeerPolicy;
  codecs: PeerCodecs;
  clock: Clock;
  timers: Timers;
  logger: Logger;
  metrics: NetworkMetrics;
}

/** Serves the calls of other peers, however their streams come in. */
export class RpcServer {
  readonly #needs: RpcServerNeeds;
  readonly #admission = new Admission();
  readonly #pipes = new Set<FramePipe>();
  /** Calls under way, each with what resolves when it is answered and its handler has ended. */
  readonly #calls = new Map<ServedCall<PeerMethod>, Promise<unknown>>();
  #handlers: PeerRpcHandlers | undefined;
  /** Aborts when it stops. */
  readonly #stopped = new AbortController();

  constructor(needs: RpcServerNeeds) {
    this.#needs = needs;
  }

  serve(handlers: PeerRpcHandlers): void {
    if (this.#handlers !== undefined) throw new Error('the handlers of peer RPC are set once');
    this.#handlers = handlers;
  }

  /** Serves the calls on a stream that `peerId` opened until it ends. Never throws; the stream is closed or reset. */
  async accept(pipe: FramePipe, peerId: string): Promise<void> {
    if (this.#stopped.signal.aborted) return pipe.abort(shuttingDown());
    this.#pipes.add(pipe);
    try {
      await this.#serveStream(pipe, peerId);
      pipe.close();
    } catch (error) {
      this.#countFailure(error, peerId);
      pipe.abort(error instanceof Error ? error : new Error('stream failed', { cause: error }));
    } finally {
      this.#pipes.delete(pipe);
    }
  }

  /** Ends all calls with SHUTTING_DOWN and waits for their handlers, for a limited time. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    for (const call of this.#calls.keys()) call.abort(shuttingDown());
    const settled = Promise.all(this.#calls.values());
    const { promise: timeout, resolve } = Promise.withResolvers<'timeout'>();
    const timer = this.#needs.timers.after(STOP_TIMEOUT_MS, () => resolve('timeout'));
    const outcome = await Promise.race([settled, timeout]);
    timer.cancel();
    if (outcome === 'timeout') this.#needs.logger.error('handlers of peer calls did not end when told to');
    for (const pipe of this.#pipes) pipe.abort(shuttingDown());
  }

  async #serveStream(pipe: FramePipe, peerId: string): Promise<void> {
    let waitMs = RPC_HEAD_TIMEOUT_MS;
    for (;;) {
      const head = await withPipeTimeout(this.#needs.timers, pipe, pipe.read(RPC_HEAD_BYTES_MAX), {
        ms: waitMs,
        reason: 'silent',
      });
      if (head === undefined) return;
      if (head.kind !== FRAME.HEAD) throw new FrameError('malformed', 'a call does not begin with its head');
      await this.#serveCall(pipe, peerId, decodeHead(head.payload));
      waitMs = RPC_IDLE_STREAM_CALLEE_MS;
    }
  }

  async #serveCall(pipe: FramePipe, peerId: string, name: string): Promise<void> {
    const admitted = this.#admit(name, peerId);
    if (admitted === 'too often') {
      await sleep(this.#needs.timers, RPC_RATE_REFUSAL_DELAY_MS, this.#stopped.signal).catch(() => {});
      return this.#refuse(pipe, new PinfoldError('LIMIT_REACHED', `${name} is called too often`));
    }
    if (admitted instanceof PinfoldError) return this.#refuse(pipe, admitted);
    const { method, release } = admitted;
    const handlers = this.#handlers as PeerRpcHandlers;
    const call = new ServedCall(this.#needs, { pipe, peerId, method, handler: handlers[method] });
    const run = call.run();
    const left = () => {
      this.#calls.delete(call);
      release();
      this.#gauge(method);
    };
    // The place is given back when the handler has really ended, not when it was told to.
    this.#calls.set(call, Promise.allSettled([run, call.settled]).then(left));
    this.#gauge(method);
    let code = 'CANCELLED';
    try {
      code = await run;
    } finally {
      this.#needs.metrics.rpcCalls.add(1, { method: peerMethodName(method), side: 'callee', code });
    }
  }

  #admit(name: string, peerId: string): PinfoldError | 'too often' | { method: PeerMethod; release: () => void } {
    const { metrics } = this.#needs;
    const method = peerMethodOf(name);
    if (method === undefined || this.#handlers === undefined) {
      metrics.rpcRefused.add(1, { reason: 'unknown_method' });
      return new PinfoldError('UNIMPLEMENTED', 'this peer has no such method');
    }
    const row = peerMethods[method];
    if (!this.#mayCall(row.caller, peerId)) {
      metrics.rpcRefused.add(1, { reason: 'permission' });
      return new PinfoldError('PERMISSION_DENIED', `${peerMethodName(method)} is not for this caller`);
    }
    if (this.#stopped.signal.aborted) return shuttingDown();
    if (!this.#admission.isAllowed(method, peerId, row, this.#needs.clock.monotonicMs())) {
      metrics.rpcRefused.add(1, { reason: 'rate' });
      return 'too often';
    }
    const limits = { max: row.concurrentMax, perPeerMax: row.concurrentPerPeerMax };
    const release = this.#admission.enter(method, peerId, limits);
    if (release !== undefined) return { method, release };
    metrics.rpcRefused.add(1, { reason: 'limit' });
    return new PinfoldError('LIMIT_REACHED', `this peer serves as many calls of ${peerMethodName(method)} as it may`);
  }

  #mayCall(caller: PeerCaller, peerId: string): boolean {
    if (caller === 'anyone') return true;
    return caller === 'member' ? this.#needs.policy.isMember(peerId) : this.#needs.policy.isTrusted(peerId);
  }

  async #refuse(pipe: FramePipe, error: PinfoldError): Promise<void> {
    await pipe.write([{ kind: FRAME.TRAILER, payload: encodeTrailer(error) }]);
    await this.#drainRequests(pipe);
  }

  /** A refused caller may have sent its requests already: at most what one method takes. */
  async #drainRequests(pipe: FramePipe): Promise<void> {
    await withPipeTimeout(this.#needs.timers, pipe, drainToEnd(pipe, REQUEST_BYTES_MAX), {
      ms: RPC_DRAIN_TIMEOUT_MS,
      reason: 'silent',
    });
  }

  #gauge(method: PeerMethod): void {
    this.#needs.metrics.rpcServing.set(this.#admission.count(method), { method: peerMethodName(method) });
  }

  #countFailure(error: unknown, peerId: string): void {
    if (error instanceof FrameError) {
      this.#needs.metrics.rpcRefused.add(1, { reason: error.reason });
      this.#needs.logger.debug('reset a stream of a peer', { peerId, reason: error.reason, error: error.message });
    } else if (!isPinfoldError(error)) {
      this.#needs.logger.debug('a stream of a peer ended', { peerId, error });
    }
  }
}

const REQUEST_BYTES_MAX = Math.max(...Object.values(peerMethods).map((row) => row.requestBytesMax));

/** Reads and drops what the caller had sent up to its END. */
async function drainToEnd(pipe: FramePipe, requestBytesMax: number): Promise<void> {
  let frame: Frame | undefined;
  do {
    frame = await pipe.read(requestBytesMax);
    if (frame === undefined) throw new FrameError('truncated', 'the stream ended within a call');
  } while (frame.kind !== FRAME.END);
}

function shuttingDown(): PinfoldError {
  return new PinfoldError('SHUTTING_DOWN', 'this peer is stopping');
}
