import type { Clock, Timers } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { INFORMER_TIMEOUT_MS, METRICS_MAX } from './constants.ts';
import type { Informer } from './informers.ts';
import type { MonitorMetrics } from './metrics.ts';
import { isValue, type MetricValue } from './records.ts';

export interface ReadingsNeeds {
  clock: Clock;
  timers: Timers;
  logger: Logger;
  metrics: Pick<MonitorMetrics, 'informerFailures'>;
}

interface Source {
  informer: Informer;
  value: MetricValue | undefined;
  readMs: number;
  underWay: Promise<void> | undefined;
}

/** The newest readings of the informers. An informer that hangs delays a round by INFORMER_TIMEOUT_MS and is not asked twice. */
export class Readings {
  readonly #needs: ReadingsNeeds;
  readonly #sources: Source[];

  constructor(informers: readonly Informer[], needs: ReadingsNeeds) {
    if (informers.length > METRICS_MAX) throw new Error(`${informers.length} informers; at most ${METRICS_MAX}`);
    this.#needs = needs;
    this.#sources = informers.map((informer) => ({
      informer,
      value: undefined,
      readMs: Number.NEGATIVE_INFINITY,
      underWay: undefined,
    }));
  }

  /** Reads what is due and returns what is still valid. Never rejects. */
  async collect(signal: AbortSignal): Promise<Map<string, MetricValue>> {
    const nowMs = this.#needs.clock.monotonicMs();
    // A little less than half, or jitter would make every second round miss it.
    const due = this.#sources.filter(({ informer, readMs }) => nowMs - readMs >= informer.ttlMs * 0.4);
    await Promise.all(due.map((source) => this.#read(source, signal)));
    const values = new Map<string, MetricValue>();
    for (const { informer, value, readMs } of this.#sources) {
      if (value !== undefined && this.#needs.clock.monotonicMs() - readMs <= informer.ttlMs)
        values.set(informer.name, value);
    }
    return values;
  }

  async #read(source: Source, outer: AbortSignal): Promise<void> {
    if (source.underWay !== undefined) return;
    const { timers, logger, metrics } = this.#needs;
    const { name } = source.informer;
    const abort = new AbortController();
    const fail = (error: unknown) => {
      metrics.informerFailures.add(1, { informer: name });
      logger.debug('an informer failed', { informer: name, error: String(error) });
    };
    source.underWay = this.#take(source, abort.signal)
      .catch((error) => {
        if (!abort.signal.aborted) fail(error);
      })
      .finally(() => {
        source.underWay = undefined;
      });
    await new Promise<void>((resolve) => {
      const giveUp = () => {
        abort.abort(new Error('the informer took too long'));
        resolve();
      };
      const timer = timers.after(INFORMER_TIMEOUT_MS, () => {
        fail('took too long');
        giveUp();
      });
      outer.addEventListener('abort', giveUp, { once: true });
      void source.underWay?.then(() => {
        timer.cancel();
        outer.removeEventListener('abort', giveUp);
        resolve();
      });
    });
  }

  async #take(source: Source, signal: AbortSignal): Promise<void> {
    const value = await source.informer.read({ signal });
    if (signal.aborted) return;
    if (value !== undefined && !isValue(value)) throw new Error('neither a finite number nor a short text');
    source.value = value;
    source.readMs = this.#needs.clock.monotonicMs();
  }
}
