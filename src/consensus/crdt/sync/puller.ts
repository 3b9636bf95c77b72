import { PinfoldError } from '../../../model/errors.ts';
import type { Clock, Timer, Timers } from '../../../runtime/clock.ts';
import { jittered } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { Random } from '../../../runtime/random.ts';
import type { Acknowledger } from '../acknowledger.ts';
import { flushedClock } from '../codec/clock-entries.ts';
import { PULL_DELAY_JITTER, PULL_STALL_MS } from '../constants.ts';
import type { Clock as Covered } from '../core/clocks.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import type { SyncNews } from '../core/rebuild-need.ts';
import type { Intake } from '../intake.ts';
import type { KnownSignatures } from '../known-signatures.ts';
import type { CrdtMetrics } from '../metrics.ts';
import type { CrdtOptions } from '../options.ts';
import type { PeerCalls } from '../peer-calls.ts';
import type { CrdtStore } from '../state/store.ts';
import type { News } from './news.ts';
import { Stall } from './stall.ts';
import { sync } from './sync-client.ts';

export interface PullerNeeds {
  options: Pick<CrdtOptions, 'pullDelayMs' | 'syncsAskedMax'>;
  store: CrdtStore;
  rpc: PeerCalls;
  intake: Intake;
  news: News;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
  metrics: CrdtMetrics;
  acknowledger: Pick<Acknowledger, 'wanted'>;
  signatures: KnownSignatures;
  /** Reachable trusted peers that state is taken from, in random order. */
  sources(): string[];
  /** None while a shadow stands (R4). */
  isOpen(): boolean;
  heard(peerId: string, news: SyncNews, floors?: Covered): void;
  /** A call broke off. */
  broke(peerId: string): void;
  /** Its log does not reach back: to be asked last. */
  isCut(peerId: string): boolean;
}

/** Asks others for what this peer lacks (S1): soon after a pend or an announcement, and when a Hello shows a difference. */
export class Puller {
  readonly #needs: PullerNeeds;
  readonly #running = new Map<string, Promise<void>>();
  /** Who is known to have what is lacking, the first first. */
  readonly #wanted = new Set<string>();
  #timer: Timer | undefined;
  readonly #abort = new AbortController();

  constructor(needs: PullerNeeds) {
    this.#needs = needs;
  }

  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  /** R4, G3: 200 ms (+-50 %) later, first from who sent it, if it is still lacking then. */
  later(from: string): void {
    this.#wanted.add(from);
    if (this.#timer !== undefined || this.#abort.signal.aborted) return;
    const delayMs = jittered(this.#needs.random, this.#needs.options.pullDelayMs, PULL_DELAY_JITTER);
    this.#timer = this.#needs.timers.after(delayMs, () => this.#due());
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort(new Error('stopped'));
    await Promise.all(this.#running.values());
  }

  #due(): void {
    this.#timer = undefined;
    const { intake, news, isOpen, isCut, sources, metrics, clock } = this.#needs;
    metrics.pendingDropped.add(intake.pending.expire(clock.nowMs()));
    const reachable = sources();
    const wanted = [...this.#wanted].filter((peerId) => reachable.includes(peerId));
    this.#wanted.clear();
    if (!isOpen() || (intake.pending.count === 0 && !news.isLacking)) return;
    const candidates = [...wanted, ...reachable].sort((a, b) => Number(isCut(a)) - Number(isCut(b)));
    const source = candidates.find((peerId) => !this.#running.has(peerId));
    if (source === undefined || this.#running.size >= this.#needs.options.syncsAskedMax) return;
    const pull = this.#pull(source).finally(() => this.#running.delete(source));
    this.#running.set(source, pull);
  }

  async #pull(peerId: string): Promise<void> {
    const { store, rpc, intake, acknowledger, signatures, metrics, logger, isOpen, heard, broke, isCut, sources } =
      this.#needs;
    const stall = new Stall(this.#needs.timers, PULL_STALL_MS, this.#abort.signal);
    try {
      const result = await sync(rpc, {
        peerId,
        clock: flushedClock(store.replicas.sorted()),
        follow: false,
        signal: stall.signal,
        known: store.replicas,
        verify: (batch) => signatures.verify(batch),
        onWanted: (batch) => acknowledger.wanted(batch),
        heard: (news, floors) => heard(peerId, news, floors),
        take: async (batch) => {
          if (!isOpen()) throw new PinfoldError('DISK_FULL', 'nothing is taken from others now');
          await intake.take(batch, peerId);
          stall.progressed();
        },
      });
      stall.end();
      await intake.idle();
      metrics.pulls.add(1, { result });
      if (result === 'full-needed' && sources().some((other) => !isCut(other))) this.later(peerId);
    } catch (problem) {
      metrics.pulls.add(1, { result: 'failed' });
      broke(peerId);
      if (problem instanceof InvalidBatch) metrics.invalid.add(1, { reason: problem.reason, door: 'sync' });
      if (!this.#abort.signal.aborted) logger.debug('a pull failed', { peerId, problem: String(problem) });
    } finally {
      stall.end();
    }
  }
}
