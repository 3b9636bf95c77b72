import { Violation } from '../world/violation.ts';
import type { BatchRecord, OperationRecord } from './batch-record.ts';
import { Calls } from './calls.ts';
import { short } from './hex.ts';
import { Removals } from './removals.ts';

type Deps = ReadonlyMap<string, number>;

/**
 * Every signed batch that was ever on a disk. Two rules hold for it whatever the peers believe: one dot is one operation
 * (I6), and nothing is on another disk that was not on its author's before (F1).
 */
export class History {
  readonly #byHash = new Map<string, BatchRecord>();
  readonly #byReplica = new Map<string, BatchRecord[]>();
  readonly #onAuthors = new Set<string>();
  readonly #deps = new Map<string, Deps>();
  /** `identityOf` -> hashes of batches. */
  readonly #copies = new Map<string, string[]>();
  /** Replicas that were put back without knowing: above that operation they may have two histories. */
  readonly #forkable = new Map<string, number>();
  readonly removals = new Removals();
  readonly #calls = new Calls();

  /** A disk was put back to where the replica had written so much. Before it meets the others it may write on from there. */
  mayFork(rid: string, sequence: number): void {
    this.#forkable.set(rid, Math.min(sequence, this.#forkable.get(rid) ?? sequence));
  }

  /** That operation may be another one elsewhere (N4). */
  isForkable(rid: string, sequence: number): boolean {
    return sequence > (this.#forkable.get(rid) ?? Number.POSITIVE_INFINITY);
  }

  get hasForks(): boolean {
    return this.#forkable.size > 0;
  }

  /** A batch is on a disk: the author's, or another's. `floors` are those of that disk. */
  learn(batch: BatchRecord, isAuthor: boolean, floors: ReadonlyMap<string, number>): void {
    if (isAuthor) this.#onAuthors.add(batch.hash);
    else if (!this.#onAuthors.has(batch.hash))
      throw new Violation('F1', `${label(batch)} is on another's disk, and not on its author's`);
    if (this.#byHash.has(batch.hash)) return;
    const batches = this.#byReplica.get(batch.rid) ?? [];
    for (const other of batches) {
      if (other.last < batch.first || other.first > batch.last) continue;
      if (this.isForkable(batch.rid, batch.first) && this.isForkable(batch.rid, other.first)) continue;
      const hashes = `${other.hash.slice(0, 8)} and ${batch.hash.slice(0, 8)}`;
      throw new Violation('I6', `${label(batch)} exists twice: ${hashes}`);
    }
    this.#byReplica.set(batch.rid, [...batches, batch]);
    this.#byHash.set(batch.hash, batch);
    this.#remember(batch, floors);
  }

  /**
   * The batches that end with the one of that hash, in order, back to the one of the hash `from`, without it; or to the first, if
   * that is not among them. Throws where one is missing or cut (F1, I9).
   */
  branch(
    rid: string,
    { head, clock, from }: { head: string; clock: number; from: string },
    who: string,
  ): BatchRecord[] {
    const batches: BatchRecord[] = [];
    let expected = clock;
    for (let hash = head; hash !== from && hash !== ''; ) {
      const batch = this.#byHash.get(hash);
      if (batch?.rid !== rid) throw new Violation('F1', `${who} covers ${short(rid)} ${expected}, which is on no disk`);
      if (batch.last !== expected) throw new Violation('I9', `${who} ends inside ${label(batch)}`);
      batches.push(batch);
      expected = batch.first - 1;
      hash = batch.prev;
    }
    return batches.reverse();
  }

  /** Of all its histories. */
  batchesOf(rid: string): readonly BatchRecord[] {
    return this.#byReplica.get(rid) ?? [];
  }

  batch(hash: string): BatchRecord | undefined {
    return this.#byHash.get(hash);
  }

  replicasOf(author: string): string[] {
    return [...this.#byReplica].flatMap(([rid, batches]) => (batches[0]?.author === author ? [rid] : []));
  }

  /** Hashes of the batches that hold an operation, which its author may have written again (N4). */
  copiesOf(identity: string): readonly string[] {
    return this.#copies.get(identity) ?? [];
  }

  /** What the author had taken in when it wrote the batch. */
  deps(batch: BatchRecord): Deps {
    return this.#deps.get(batch.hash) ?? new Map();
  }

  #remember(batch: BatchRecord, floors: Deps): void {
    const before = this.#byHash.get(batch.prev);
    const deps = new Map(before === undefined ? [] : this.deps(before));
    for (const { rid, sequence } of batch.inc) deps.set(rid, Math.max(deps.get(rid) ?? 0, sequence));
    if (batch.first > 1) deps.set(batch.rid, batch.first - 1);
    this.#deps.set(batch.hash, deps);
    const isAgain = this.#noteCopies(batch);
    // Written again it is the same, and what lies above the place where histories part no number names.
    const isVague = (rid: string, sequence: number) =>
      sequence <= (floors.get(rid) ?? 0) || this.isForkable(rid, sequence);
    this.#calls.learn(batch, { deps, isVague, isAgain });
    this.removals.learn(batch, isAgain);
  }

  /** True: its operations were written before, as another replica. */
  #noteCopies(batch: BatchRecord): boolean {
    let isAgain = false;
    for (const operation of batch.operations) {
      const identity = identityOf(batch.author, operation);
      const copies = this.copiesOf(identity);
      isAgain ||= copies.some((hash) => this.#byHash.get(hash)?.rid !== batch.rid);
      if (copies.at(-1) !== batch.hash) this.#copies.set(identity, [...copies, batch.hash]);
    }
    return isAgain && this.hasForks;
  }
}

/** The same when its author writes it again (N4): stamps stay. */
export function identityOf(author: string, { key, stamp }: OperationRecord): string {
  return `${author} ${key} ${stamp}`;
}

function label({ rid, first, last }: BatchRecord): string {
  return `the batch ${short(rid)} ${first}-${last}`;
}
