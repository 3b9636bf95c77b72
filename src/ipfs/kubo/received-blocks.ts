import { deadlineSignal } from '../../runtime/abort.ts';
import type { Clock, Timers } from '../../runtime/clock.ts';
import { blocksReceived } from './answers.ts';
import { RECEIVED_FRESH_MS, RECEIVED_TIMEOUT_MS } from './constants.ts';
import type { KuboRpc } from './rpc.ts';

interface Needs {
  rpc: KuboRpc;
  clock: Clock;
  timers: Timers;
}

/**
 * How many blocks the node has ever received. Undefined where it does not say: of a node with very many wants the answer is over
 * the limit of a line.
 */
export class ReceivedBlocks {
  readonly #needs: Needs;
  #recent: Promise<number | undefined> = Promise.resolve(undefined);
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(needs: Needs) {
    this.#needs = needs;
  }

  /** As it was at most RECEIVED_FRESH_MS ago: pins that begin together share the question. Never rejects. */
  recent(): Promise<number | undefined> {
    const nowMs = this.#needs.clock.monotonicMs();
    if (nowMs - this.#askedMs < RECEIVED_FRESH_MS) return this.#recent;
    this.#askedMs = nowMs;
    this.#recent = this.now();
    return this.#recent;
  }

  /** Never rejects. */
  async now(): Promise<number | undefined> {
    const { rpc, timers } = this.#needs;
    using scope = deadlineSignal(timers, RECEIVED_TIMEOUT_MS);
    try {
      return blocksReceived(await rpc.one({ command: 'bitswap/stat', signal: scope.signal }));
    } catch {
      return undefined;
    }
  }
}
