import type { Connector } from '../ipfs/connector.ts';
import { jittered, sleep, type Timers } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Gauge } from '../runtime/metrics.ts';
import type { Random } from '../runtime/random.ts';
import { PROBE_DELAY_MAX_MS, PROBE_DELAY_MIN_MS, PROBE_TIMEOUT_MS, RETRY_JITTER } from './constants.ts';

export interface NodeWatchNeeds {
  connector: Pick<Connector, 'id'>;
  timers: Timers;
  random: Random;
  logger: Logger;
}

/** Whether the IPFS node answers. While it does not, it is asked for its ID ever more rarely, and nothing is attempted. */
export class NodeWatch {
  readonly #needs: NodeWatchNeeds;
  readonly #signal: AbortSignal;
  readonly #onUp: () => void;
  readonly #gauge: Gauge;
  #probing: Promise<void> | undefined;

  constructor(needs: NodeWatchNeeds, init: { signal: AbortSignal; onUp: () => void; gauge: Gauge }) {
    this.#needs = needs;
    this.#signal = init.signal;
    this.#onUp = init.onUp;
    this.#gauge = init.gauge;
    this.#gauge.set(1, {});
  }

  get isDown(): boolean {
    return this.#probing !== undefined;
  }

  /** To be told of each call that the node did not answer. */
  down(): void {
    if (this.isDown || this.#signal.aborted) return;
    this.#needs.logger.warn('the IPFS node does not answer; pins wait for it');
    this.#gauge.set(0, {});
    this.#probing = this.#probe().then((isUp) => {
      this.#probing = undefined;
      if (!isUp) return;
      this.#needs.logger.info('the IPFS node answers again');
      this.#gauge.set(1, {});
      this.#onUp();
    });
  }

  async stopped(): Promise<void> {
    await this.#probing;
  }

  /** Resolves with false when the tracker stops first. */
  async #probe(): Promise<boolean> {
    const { timers, random } = this.#needs;
    for (let delayMs = PROBE_DELAY_MIN_MS; ; delayMs = Math.min(2 * delayMs, PROBE_DELAY_MAX_MS)) {
      const isOver = await sleep(timers, Math.ceil(jittered(random, delayMs, RETRY_JITTER)), this.#signal).then(
        () => false,
        () => true,
      );
      if (isOver) return false;
      if (await this.#answers()) return true;
    }
  }

  async #answers(): Promise<boolean> {
    const deadline = new AbortController();
    const timer = this.#needs.timers.after(PROBE_TIMEOUT_MS, () => deadline.abort(new Error('no answer in time')));
    try {
      await this.#needs.connector.id({ signal: AbortSignal.any([this.#signal, deadline.signal]) });
      return true;
    } catch (error) {
      this.#needs.logger.debug('the IPFS node still does not answer', { error });
      return false;
    } finally {
      timer.cancel();
    }
  }
}
