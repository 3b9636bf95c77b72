import { PinfoldError } from '../../../model/errors.ts';
import type { Timer, Timers } from '../../../runtime/clock.ts';
import { jittered } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { Random } from '../../../runtime/random.ts';
import type { Acknowledger } from '../acknowledger.ts';
import { flushedClock } from '../codec/clock-entries.ts';
import { FOLLOW_RETRY_MS, PULL_DELAY_JITTER } from '../constants.ts';
import type { Clock } from '../core/clocks.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import type { SyncNews } from '../core/rebuild-need.ts';
import type { Intake } from '../intake.ts';
import type { KnownSignatures } from '../known-signatures.ts';
import type { CrdtMetrics } from '../metrics.ts';
import type { CrdtOptions } from '../options.ts';
import type { PeerCalls } from '../peer-calls.ts';
import type { CrdtStore } from '../state/store.ts';
import { sync } from './sync-client.ts';

export interface FollowersNeeds {
  options: Pick<CrdtOptions, 'followPeersMax'>;
  store: CrdtStore;
  rpc: PeerCalls;
  intake: Intake;
  timers: Timers;
  random: Random;
  logger: Logger;
  metrics: CrdtMetrics;
  acknowledger: Pick<Acknowledger, 'wanted'>;
  signatures: KnownSignatures;
  /** Reachable trusted peers that have answered a Hello, in random order. */
  sources(): string[];
  isOpen(): boolean;
  heard(peerId: string, news: SyncNews, floors?: Clock): void;
  /** A call broke off. */
  broke(peerId: string): void;
}

interface Follow {
  /** Whose further batches this stream leaves out. */
  readonly except: readonly string[];
  readonly abort: AbortController;
  done: Promise<void>;
  /** Something came by it. */
  isServing: boolean;
  /** It ends to begin anew. */
  isMoved: boolean;
}

/** S5: follows up to three random trusted peers, so that bulk does not wait for pulls. */
export class Followers {
  readonly #needs: FollowersNeeds;
  readonly #follows = new Map<string, Follow>();
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(needs: FollowersNeeds) {
    this.#needs = needs;
  }

  get count(): number {
    return this.#follows.size;
  }

  /** Begins what is missing. Called when a peer has said Hello, and again when a stream has ended. */
  adjust(): void {
    if (this.#isStopped || !this.#needs.isOpen()) return;
    for (const peerId of this.#needs.sources()) {
      if (this.#follows.size >= this.#needs.options.followPeersMax) return;
      if (!this.#follows.has(peerId)) this.#follow(peerId);
    }
  }

  /** That peer is gone: its stream ends. */
  left(peerId: string): void {
    this.#follows.get(peerId)?.abort.abort(new Error('disconnected'));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    const follows = [...this.#follows.values()];
    for (const { abort } of follows) abort.abort(new Error('stopped'));
    await Promise.all(follows.map(({ done }) => done));
  }

  /** What others that are followed write comes from them, and what this peer writes comes from nobody: each batch travels once. */
  #follow(peerId: string, isServing = false): void {
    const except = this.#directly(peerId);
    const follow: Follow = {
      except,
      abort: new AbortController(),
      done: Promise.resolve(),
      isServing,
      isMoved: false,
    };
    this.#follows.set(peerId, follow);
    follow.done = this.#run(peerId, follow).finally(() => this.#ended(peerId, follow.isMoved));
  }

  /** Whose batches need not come from that peer. */
  #directly(peerId: string): string[] {
    const others = [...this.#follows].filter(([other, { isServing }]) => isServing && other !== peerId);
    return [this.#needs.store.needs.peerId, ...others.map(([other]) => other)];
  }

  #ended(peerId: string, isMoved: boolean): void {
    this.#follows.delete(peerId);
    const isToGoOn = isMoved && !this.#isStopped && this.#needs.isOpen() && this.#needs.sources().includes(peerId);
    // It counts on: or those that leave it out would begin anew, too, and then this one again.
    if (isToGoOn) this.#follow(peerId, true);
    else {
      this.#move();
      this.#again();
    }
  }

  #serves(follow: Follow): void {
    if (follow.isServing) return;
    follow.isServing = true;
    this.#move();
  }

  /** Streams begin anew that leave out a peer that is not followed any more, or do not leave out one that is. */
  #move(): void {
    for (const [peerId, follow] of this.#follows) {
      const directly = this.#directly(peerId);
      const isRight =
        follow.except.length === directly.length && directly.every((other) => follow.except.includes(other));
      if (isRight || follow.isMoved) continue;
      follow.isMoved = true;
      follow.abort.abort(new Error('others are followed than before'));
    }
  }

  #again(): void {
    if (this.#isStopped || this.#timer !== undefined) return;
    const delayMs = jittered(this.#needs.random, FOLLOW_RETRY_MS, PULL_DELAY_JITTER);
    this.#timer = this.#needs.timers.after(delayMs, () => {
      this.#timer = undefined;
      this.adjust();
    });
  }

  async #run(peerId: string, follow: Follow): Promise<void> {
    const { except } = follow;
    const { signal } = follow.abort;
    const { store, rpc, intake, acknowledger, signatures, logger, metrics, isOpen, heard, broke } = this.#needs;
    try {
      await sync(rpc, {
        peerId,
        clock: flushedClock(store.replicas.sorted()),
        follow: true,
        except,
        signal,
        known: store.replicas,
        verify: (batch) => signatures.verify(batch),
        onWanted: (batch) => acknowledger.wanted(batch),
        take: async (batch) => {
          if (!isOpen()) throw new PinfoldError('DISK_FULL', 'nothing is taken from others now');
          await intake.take(batch, peerId);
        },
        heard: (news, floors) => {
          if (news !== 'full-needed') this.#serves(follow);
          heard(peerId, news, floors);
        },
      });
    } catch (problem) {
      broke(peerId);
      if (problem instanceof InvalidBatch) metrics.invalid.add(1, { reason: problem.reason, door: 'sync' });
      if (!signal.aborted) logger.debug('following a peer ended', { peerId, problem: String(problem) });
    }
  }
}
