import type { PinKey } from '../../../model/pin.ts';
import { bucketOf } from '../../../model/pin-key.ts';
import type { Transaction } from '../../../storage/storage.ts';
import { GROUP_BYTES_MAX, GROUP_OPS_MAX, SWAP_TAIL_OPS_MAX } from '../constants.ts';
import { type Clock, covers, lacking } from '../core/clocks.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import { judge } from '../core/judge.ts';
import { TransactionRows } from '../core/rows.ts';
import type { Batch } from '../core/types.ts';
import { AuthorErred, applyTo, type Prepared, prepare, putLog, RestsElsewhere } from '../intake.ts';
import { LogDamaged } from '../log/kept-batch.ts';
import { remember } from '../remember.ts';
import type { ClockStep, Replica } from '../state/replicas.ts';
import { StagedClock } from '../state/staged-clock.ts';
import type { CrdtStore } from '../state/store.ts';
import { type LoggedReplica, LogReader } from '../sync/log-reader.ts';
import { Forked, Lost, Unusable } from './problems.ts';
import type { ShadowState } from './shadow-state.ts';
import { ShadowTaken } from './shadow-taken.ts';

/** Batches that the shadow will take in one transaction. */
export interface ShadowGroup {
  readonly batches: readonly Prepared[];
  readonly steps: readonly ClockStep[];
  /** Keys of operations that C does not cover (fault feed-forgets-tail). */
  readonly changed: readonly PinKey[];
}

/** B3: R1 to R6 with C', H' and the shadow for C, H and the live tables. */
export class ShadowIntake {
  readonly #store: CrdtStore;
  readonly #state: ShadowState;
  readonly #indexed: () => Promise<void>;
  #group: Batch[] = [];
  #operations = 0;
  #bytes = 0;

  /** `indexed` builds the indexes of what is filled: only then its rows can be written. */
  constructor(store: CrdtStore, state: ShadowState, indexed: () => Promise<void>) {
    this.#store = store;
    this.#state = state;
    this.#indexed = indexed;
  }

  /** From a source: a transaction when there is enough for one. */
  async take(batch: Batch): Promise<void> {
    this.#add(batch);
    if (this.#operations >= GROUP_OPS_MAX || this.#bytes >= GROUP_BYTES_MAX) await this.flushGroup();
  }

  async flushGroup(): Promise<void> {
    if (this.#group.length > 0) await this.#indexed();
    const group = this.prepare(this.#group);
    this.#group = [];
    this.#operations = this.#bytes = 0;
    if (group === undefined) return;
    const commit = this.#store.needs.storage.transaction((tx) => this.write(tx, group));
    this.#state.queued(commit, group.steps);
    this.#store.turns.shadowWrote();
    await commit.committed;
  }

  /** What the live store took in by itself since, own writes included, but for its last transaction or two (B4). */
  async ownLog(): Promise<void> {
    const { needs, turns, replicas } = this.#store;
    if (lacking(this.#taken, replicas.clock) > 0) await this.#indexed(); // Now, as nobody waits for it.
    await turns.catchUp(async () => {
      for (let isAtEnd = false; !isAtEnd; ) {
        await needs.storage.flushed();
        isAtEnd = await this.#ownGroup('flushed', turns.operationsMax);
      }
    });
  }

  /**
   * The same to the last operation but for the last few, which are the swap's own, when nobody else writes and all is committed.
   * Undefined: there are none.
   */
  async tail(): Promise<ShadowGroup | undefined> {
    const { replicas } = this.#store;
    while (lacking(this.#taken, replicas.clock) > SWAP_TAIL_OPS_MAX) {
      await this.#ownGroup('committed', GROUP_OPS_MAX);
    }
    return this.prepare(this.#ofOwnLog('committed', SWAP_TAIL_OPS_MAX).batches);
  }

  /** Judges batches under the clock as it will be then, and gives names their numbers. Undefined: all are here already. */
  prepare(batches: readonly Batch[]): ShadowGroup | undefined {
    const clock = new StagedClock(new ShadowTaken(this.#state.clock, this.#store.replicas));
    const group: Prepared[] = [];
    const changed: PinKey[] = [];
    for (const batch of batches) {
      const verdict = judge(clock, batch);
      if (verdict === 'duplicate') continue;
      if (verdict === 'fork') throw new Forked('the source has another history of an author than the shadow');
      if (verdict !== 'apply') throw new Unusable(`a batch that cannot be applied: ${verdict}`);
      const prepared = this.#prepare(batch, clock);
      group.push(prepared);
      const isLive = this.#store.replicas.covers({ rid: batch.rid, sequence: batch.head.last });
      if (!isLive) for (const { key } of prepared.content.operations) changed.push(key);
      clock.stage({ replica: prepared.replica, sequence: batch.head.last, hash: batch.hash });
    }
    return group.length === 0 ? undefined : { batches: group, steps: clock.steps(), changed };
  }

  /** An operation on a bucket that is not filled yet only moves C'. */
  write(tx: Transaction, { batches, steps, changed }: ShadowGroup): void {
    const { shadow } = this.#store.needs.pinset;
    const rows = new TransactionRows();
    const isFilled = (key: PinKey) => bucketOf(key) < shadow.nextBucket;
    for (const prepared of batches) {
      applyTo(rows, prepared, this.#store, (key) => shadow.row(tx, key), isFilled);
      putLog(tx, prepared);
      remember(tx, prepared, this.#store, 'shadow');
    }
    this.#state.put(tx, steps, changed);
    shadow.write(tx, rows.changes());
  }

  #add(batch: Batch): void {
    this.#group.push(batch);
    this.#operations += batch.head.last - batch.head.first + 1;
    this.#bytes += batch.ops.length;
  }

  get #taken(): Clock {
    return this.#state.clock.clocks?.taken ?? new Map();
  }

  /** True: that was all. */
  async #ownGroup(upTo: 'flushed' | 'committed', operationsMax: number): Promise<boolean> {
    const { batches, isAtEnd } = this.#ofOwnLog(upTo, operationsMax);
    for (const batch of batches) this.#add(batch);
    await this.flushGroup();
    return isAtEnd;
  }

  #ofOwnLog(upTo: 'flushed' | 'committed', operationsMax: number): { batches: Batch[]; isAtEnd: boolean } {
    const { replicas } = this.#store;
    if (!covers(this.#taken, replicas.floors)) throw new Lost('the own log was cut above it');
    const taken = this.#state.clock.entries().map(({ replica, sequence }) => ({ rid: replica.rid, sequence }));
    const log = new LogReader(taken, (replica, sequence) => this.#store.logged(replica, sequence));
    const logged = replicas.sorted().map((replica) => (upTo === 'flushed' ? replica : asCommitted(replica)));
    const batches: Batch[] = [];
    for (let operations = 0, bytes = 0; operations < operationsMax && bytes < 2 * GROUP_BYTES_MAX; ) {
      const next = nextOf(log, logged);
      if (next === undefined) return { batches, isAtEnd: true };
      const { head, ops } = next.batch;
      batches.push(next.batch);
      operations += head.last - head.first + 1;
      bytes += ops.length;
    }
    return { batches, isAtEnd: false };
  }

  #prepare(batch: Batch, clock: StagedClock): Prepared {
    try {
      return prepare(this.#store, batch, clock);
    } catch (problem) {
      const isTheirs = [InvalidBatch, AuthorErred, RestsElsewhere].some((kind) => problem instanceof kind);
      if (isTheirs) throw new Unusable((problem as Error).message);
      throw problem;
    }
  }
}

function nextOf(log: LogReader, replicas: readonly LoggedReplica[]): ReturnType<LogReader['next']> {
  try {
    return log.next(replicas);
  } catch (problem) {
    if (problem instanceof LogDamaged) throw new Lost(problem.message);
    throw problem;
  }
}

function asCommitted({ number, rid, ridText, sequence, floor }: Replica): LoggedReplica {
  return { number, rid, ridText, floor, flushedSequence: sequence };
}
