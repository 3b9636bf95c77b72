import type { Timer, Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { LogStatus } from '../consensus.ts';
import { UPKEEP_INTERVAL_MS } from './constants.ts';
import type { Intake } from './intake.ts';
import { LogCutter, type LogCutterNeeds } from './log/log-cutter.ts';
import { logStatus } from './log/log-status.ts';
import type { CrdtMetrics } from './metrics.ts';
import type { CrdtOptions } from './options.ts';
import { trimRemembered } from './state/idempotency.ts';
import type { CrdtStore } from './state/store.ts';

export interface UpkeepNeeds extends LogCutterNeeds {
  options: Pick<CrdtOptions, 'idempotencyKeepMs' | 'idempotencyRowsMax'> & LogCutterNeeds['options'];
  store: CrdtStore;
  intake: Pick<Intake, 'pending'>;
  metrics: Pick<CrdtMetrics, 'pendingDropped' | 'logCut' | 'waiting'>;
  timers: Timers;
  logger: Logger;
}

/**
 * What is done now and then, in bounded pieces: cuts the log, forgets old idempotency keys and batches that wait too long, saves what
 * others acknowledged.
 */
export class Upkeep {
  readonly #needs: UpkeepNeeds;
  readonly #log: LogCutter;
  #timer: Timer | undefined;

  constructor(needs: UpkeepNeeds) {
    this.#needs = needs;
    this.#log = new LogCutter(needs);
    needs.metrics.waiting.log = () => this.logStatus;
  }

  start(): void {
    this.#log.start();
    this.#again();
  }

  get logStatus(): LogStatus {
    return logStatus(this.#needs.store, this.#log.oldestMs, this.#needs.isTrusted);
  }

  #again(): void {
    const isMore = this.#round();
    this.#timer = this.#needs.timers.after(isMore ? 1_000 : UPKEEP_INTERVAL_MS, () => this.#again());
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#log.stop();
    if (this.#needs.store.failure === undefined) this.#saveAcks();
  }

  #round(): boolean {
    const { store, options, intake, metrics, logger } = this.#needs;
    const { storage, clock } = store.needs;
    metrics.pendingDropped.add(intake.pending.expire(clock.nowMs()));
    this.#saveAcks();
    try {
      return trimRemembered(storage, clock, options);
    } catch (failure) {
      logger.error('idempotency keys could not be forgotten', { error: String(failure) });
      return false;
    }
  }

  #saveAcks(): void {
    try {
      this.#needs.store.acks.save();
    } catch (failure) {
      this.#needs.logger.error('what others acknowledged could not be saved', { error: String(failure) });
    }
  }
}
