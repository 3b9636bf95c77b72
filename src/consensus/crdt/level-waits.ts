import { byteString } from '../../model/bytes.ts';
import { PinfoldError } from '../../model/errors.ts';
import type { Timer, Timers } from '../../runtime/clock.ts';
import type { AckLevel, LevelReached, Position, WaitOptions } from '../consensus.ts';
import { LEVEL_ASK_INTERVAL_MS, LEVEL_WAITS_MAX } from './constants.ts';
import { decodePosition } from './core/position.ts';
import type { IncEntry } from './core/types.ts';
import type { CrdtMetrics } from './metrics.ts';
import type { Neighbours } from './neighbours.ts';
import type { CrdtStore } from './state/store.ts';

export interface LevelWaitsNeeds {
  store: CrdtStore;
  timers: Timers;
  metrics: Pick<CrdtMetrics, 'levelWaits'>;
  isFollower: boolean;
  neighbours: Pick<Neighbours, 'holders' | 'sources'>;
  /** Exchanges clocks with a peer. It tells what it has, and hears what it lacks. Once at a time for each. */
  ask(peerId: string): void;
}

interface Wait {
  readonly entries: readonly IncEntry[];
  /** How many peers are to hold it; 0: this one. */
  readonly count: number;
  isOld: boolean;
  settle(): void;
}

/** Waits for REPLICATED n (6.1): that n trusted peers, this one included, have said that a write is on their disks. */
export class LevelWaits {
  readonly #needs: LevelWaitsNeeds;
  readonly #waits = new Set<Wait>();
  readonly #stopListening: (() => void)[];
  #asking: Timer | undefined;
  #isChecking = false;

  constructor(needs: LevelWaitsNeeds) {
    this.#needs = needs;
    const check = () => this.#checkSoon();
    this.#stopListening = [needs.store.onFlushed(check), needs.store.acks.onHeard(check)];
  }

  /** Why this level cannot be reached at all. */
  refusal(level: AckLevel): PinfoldError | undefined {
    if (level.kind === 'pinned') return new PinfoldError('UNIMPLEMENTED', 'the consensus knows nothing of IPFS nodes');
    if (level.kind === 'durable') return undefined;
    const peers = this.#needs.neighbours.holders().length + (this.#needs.isFollower ? 0 : 1);
    if (level.count <= peers) return undefined;
    const message = `REPLICATED ${level.count} asks for more peers than there are: ${peers} are trusted and no followers`;
    return new PinfoldError('LEVEL_UNREACHABLE', message, { facts: { peers: String(peers) } });
  }

  /** Resolves at the level, or with what was reached at the end of the time. */
  wait(position: Position, level: AckLevel, { signal, timeoutMs }: WaitOptions): Promise<LevelReached> {
    const entries = decodePosition(position);
    if (level.kind === 'pinned') throw this.refusal(level);
    signal.throwIfAborted();
    const count = level.kind === 'replicated' ? level.count : 0;
    if (this.#isReached(entries, count, this.#needs.neighbours.holders()))
      return Promise.resolve(this.#reached(entries, level));
    if (this.#waits.size >= LEVEL_WAITS_MAX) {
      throw new PinfoldError('LIMIT_REACHED', `${LEVEL_WAITS_MAX} writes wait for their level already`, {
        retryAfterMs: 1_000,
      });
    }
    return new Promise((resolve, reject) => {
      const end = () => {
        this.#waits.delete(wait);
        this.#needs.metrics.levelWaits.set(this.#waits.size);
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
      };
      const settle = () => {
        end();
        resolve(this.#reached(entries, level));
      };
      const onAbort = () => {
        end();
        reject(signal.reason);
      };
      const wait: Wait = { entries, count, isOld: false, settle };
      const timer = this.#needs.timers.after(timeoutMs, settle);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waits.add(wait);
      this.#needs.metrics.levelWaits.set(this.#waits.size);
      this.#askLater();
    });
  }

  /** What is waited for is told as far as it got. */
  stop(): void {
    for (const stop of this.#stopListening) stop();
    this.#asking?.cancel();
    for (const { settle } of [...this.#waits]) settle();
  }

  /** Words come many at once: one look at the waits for all of them. */
  #checkSoon(): void {
    if (this.#isChecking || this.#waits.size === 0) return;
    this.#isChecking = true;
    queueMicrotask(() => {
      this.#isChecking = false;
      const holders = this.#needs.neighbours.holders();
      for (const wait of this.#waits) if (this.#isReached(wait.entries, wait.count, holders)) wait.settle();
    });
  }

  #isReached(entries: readonly IncEntry[], count: number, holders: readonly string[]): boolean {
    if (count === 0) return this.#isHere(entries);
    let missing = count - (this.#counts(entries) ? 1 : 0);
    if (missing <= 0) return true;
    for (const peerId of holders) {
      if (this.#acknowledged(peerId, entries) && --missing === 0) return true;
    }
    return false;
  }

  #isHere(entries: readonly IncEntry[]): boolean {
    return entries.every((entry) => this.#needs.store.replicas.flushedCovers(entry));
  }

  /** Where there are two operations of that name, known by now (N4), nobody's word tells which it means. */
  #acknowledged(peerId: string, entries: readonly IncEntry[]): boolean {
    const { replicas, forks, acks } = this.#needs.store;
    const isPlain = entries.every(({ rid, sequence }) => {
      const replica = replicas.taken(byteString(rid));
      return replica === undefined || !forks.isParted(replica, sequence);
    });
    return isPlain && acks.covers(peerId, entries);
  }

  /** Followers do not count: nobody takes state from them. */
  #counts(entries: readonly IncEntry[]): boolean {
    return !this.#needs.isFollower && this.#isHere(entries);
  }

  #reached(entries: readonly IncEntry[], asked: AckLevel): LevelReached {
    const { store, neighbours } = this.#needs;
    const own = this.#counts(entries) ? [store.needs.peerId] : [];
    const acknowledgedBy = [...own, ...neighbours.holders().filter((peerId) => this.#acknowledged(peerId, entries))];
    const isHere = this.#isHere(entries);
    if (asked.kind !== 'replicated') return { level: isHere ? asked : undefined, acknowledgedBy };
    const count = Math.min(asked.count, acknowledgedBy.length);
    // One peer alone is no more than its own disk.
    if (count >= 2 || (count === 1 && asked.count === 1)) {
      return { level: { kind: 'replicated', count }, acknowledgedBy };
    }
    return { level: isHere ? { kind: 'durable' } : undefined, acknowledgedBy };
  }

  /** An acknowledgement may be lost, or was never wanted: who waits for long asks. */
  #askLater(): void {
    this.#asking ??= this.#needs.timers.after(LEVEL_ASK_INTERVAL_MS, () => {
      this.#asking = undefined;
      const [oldest] = [...this.#waits].filter(({ isOld }) => isOld);
      for (const wait of this.#waits) wait.isOld = true;
      if (oldest !== undefined) this.#ask(oldest.entries);
      if (this.#waits.size > 0) this.#askLater();
    });
  }

  #ask(entries: readonly IncEntry[]): void {
    const { neighbours, store, ask } = this.#needs;
    for (const peerId of neighbours.sources()) if (!store.acks.covers(peerId, entries)) ask(peerId);
  }
}
