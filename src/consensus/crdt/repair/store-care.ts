import { PinfoldError } from '../../../model/errors.ts';
import { type Finding, isRowDamage } from '../../../pinset/scrub/scrub.ts';
import { deadlineSignal } from '../../../runtime/abort.ts';
import type { Clock, Timer, Timers } from '../../../runtime/clock.ts';
import { jittered } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { Random } from '../../../runtime/random.ts';
import type { Alerts } from '../alerts.ts';
import { ALERT_BUCKETS_MAX, COMPARE_PAUSE_MS, COMPARE_TIMEOUT_MS, HELLO_JITTER } from '../constants.ts';
import type { CrdtOptions } from '../options.ts';
import type { RepairHandlers } from '../peer-calls.ts';
import { BucketServer } from './bucket-server.ts';
import { type Comparison, compareDigests } from './comparison.ts';
import { isLeftOut } from './left-out.ts';
import { StoreRepair, type StoreRepairNeeds } from './store-repair.ts';

export interface StoreCareNeeds extends StoreRepairNeeds {
  options: Pick<CrdtOptions, 'compareIntervalMs'>;
  alerts: Alerts;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
  peerId: string;
}

/** Section 8: what keeps watch over the rows of this store and of the others, and says so by alerts. */
export class StoreCare {
  readonly repair: StoreRepair;
  readonly handlers: RepairHandlers;
  readonly #needs: StoreCareNeeds;
  readonly #abort = new AbortController();
  readonly #comparing = new Map<string, Promise<void>>();
  /** By peer: when it was last compared with, and the buckets that differed. */
  readonly #compared = new Map<string, { atMs: number; unequal: readonly number[] }>();
  #timer: Timer | undefined;
  #stopListening: (() => void) | undefined;

  constructor(needs: StoreCareNeeds) {
    this.#needs = needs;
    this.repair = new StoreRepair(needs);
    this.handlers = repairHandlers(needs, this.repair);
  }

  start(): void {
    this.#stopListening = this.#needs.store.needs.pinset.scrub.onFindings(() => this.#found());
    this.#found();
    this.#again();
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#stopListening?.();
    this.#abort.abort(new Error('stopped'));
    await Promise.all([...this.#comparing.values(), this.repair.stop()]);
  }

  /** A Hello showed equal clocks and unequal digests: the buckets are found out, for one peer at most once a minute. */
  diverged(peerId: string): void {
    const { alerts, clock } = this.#needs;
    const known = this.#compared.get(peerId);
    alerts.raise('DIVERGED', peerId, divergedMessage(known?.unequal ?? []));
    if (known === undefined || clock.monotonicMs() - known.atMs >= COMPARE_PAUSE_MS) this.#compare(peerId);
  }

  /** Equal clocks, equal digests. */
  equal(peerId: string): void {
    this.#compared.delete(peerId);
    this.#needs.alerts.clear('DIVERGED', peerId);
  }

  /** Under constant load clocks are never equal: then digests are compared bucket by bucket, once an hour. */
  #again(): void {
    const { timers, random, options, sources } = this.#needs;
    this.#timer = timers.after(jittered(random, options.compareIntervalMs, HELLO_JITTER), () => {
      const [peerId] = sources();
      if (peerId !== undefined) this.#compare(peerId);
      this.#again();
    });
  }

  #compare(peerId: string): void {
    if (this.#comparing.has(peerId) || this.#abort.signal.aborted) return;
    const comparing = this.#compareNow(peerId).finally(() => this.#comparing.delete(peerId));
    this.#comparing.set(peerId, comparing);
  }

  async #compareNow(peerId: string): Promise<void> {
    const { timers, metrics, logger, clock } = this.#needs;
    using scope = deadlineSignal(timers, COMPARE_TIMEOUT_MS, this.#abort.signal);
    try {
      const comparison = await compareDigests(this.#needs, peerId, scope.signal);
      metrics.comparisons.add(1, { result: comparison.unequal.length === 0 ? 'equal' : 'unequal' });
      this.#judge(peerId, comparison);
    } catch (problem) {
      metrics.comparisons.add(1, { result: 'failed' });
      if (!this.#abort.signal.aborted)
        logger.debug('digests could not be compared', { peerId, problem: String(problem) });
    }
    const known = this.#compared.get(peerId);
    if (known !== undefined) known.atMs = clock.monotonicMs();
  }

  #judge(peerId: string, { unequal, leftOut }: Comparison): void {
    const { alerts, clock } = this.#needs;
    const known = this.#compared.get(peerId)?.unequal ?? [];
    if (unequal.length > 0) {
      this.#compared.set(peerId, { atMs: clock.monotonicMs(), unequal });
      alerts.raise('DIVERGED', peerId, divergedMessage(unequal));
    } else if (leftOut !== 'all' && !known.some((bucket) => isLeftOut(leftOut, bucket))) {
      this.equal(peerId);
    }
  }

  #found(): void {
    const { findings, more } = this.#needs.store.needs.pinset.scrub.findings();
    this.#alert('ROW_DAMAGED', findings.filter(isRowDamage), more);
    this.#alert(
      'INDEX_DAMAGED',
      findings.filter(({ kind }) => kind === 'index' || kind === 'orphan'),
      0,
    );
  }

  #alert(kind: 'ROW_DAMAGED' | 'INDEX_DAMAGED', findings: readonly Finding[], more: number): void {
    const { alerts, peerId } = this.#needs;
    if (findings.length === 0) {
      alerts.clear(kind, peerId);
      return;
    }
    const buckets = named([...new Set(findings.map(({ bucket }) => bucket))], more);
    alerts.raise(kind, peerId, `${buckets}: ${findings[0]?.example}. Check the disk, then run "pinfold store repair"`);
  }
}

function divergedMessage(unequal: readonly number[]): string {
  const where = unequal.length === 0 ? '' : `: ${named(unequal, 0)}`;
  return `where the clocks are equal the pinsets are not${where}. See "pinfold store repair"`;
}

/** "buckets 1, 2 and 5 more". */
function named(buckets: readonly number[], more: number): string {
  const shown = buckets.slice(0, ALERT_BUCKETS_MAX).join(', ');
  const rest = buckets.length - Math.min(buckets.length, ALERT_BUCKETS_MAX) + more;
  const what = buckets.length + more === 1 ? 'bucket' : 'buckets';
  return rest === 0 ? `${what} ${shown}` : `${what} ${shown} and ${rest} more`;
}

function repairHandlers(needs: StoreCareNeeds, repair: StoreRepair): RepairHandlers {
  const server = new BucketServer(needs);
  const checkOpen = () => {
    if (needs.store.failure !== undefined)
      throw new PinfoldError('STORAGE_FAILED', 'the store of this peer has failed');
    if (needs.store.forks.isRewriting) throw new PinfoldError('PEER_UNREACHABLE', 'this peer is healing a fork');
  };
  return {
    async *getDigests(requests, { signal }) {
      for await (const request of requests) {
        checkOpen();
        yield* server.digests(request, signal);
        return;
      }
    },
    async *getBuckets(requests, { signal }) {
      for await (const request of requests) {
        checkOpen();
        yield* server.buckets(request, signal);
        return;
      }
    },
    async *repairBuckets(requests, { peerId, signal }) {
      for await (const { buckets } of requests) {
        checkOpen();
        yield await repair.serve(buckets, peerId, signal);
        return;
      }
    },
  };
}
