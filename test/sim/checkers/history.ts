import { Violation } from '../world/violation.ts';
import type { BatchRecord } from './batch-record.ts';
import { short } from './hex.ts';
import { Removals } from './removals.ts';

/** What a replica's author has done. */
interface Authored {
  /** In order, without gaps once all that exists is known. */
  readonly batches: BatchRecord[];
  /** Up to which sequence the author's own disk has held it. */
  flushed: number;
}

type Deps = ReadonlyMap<string, number>;
/** Whether an operation came to its author's peer by a rebuild. */
type AsRows = (rid: string, sequence: number) => boolean;

/**
 * Every signed batch that was ever on a disk. Two rules hold for it whatever the peers believe: one dot is one operation
 * (I6), and nothing is on another disk that was not on its author's before (F1).
 */
export class History {
  readonly #authored = new Map<string, Authored>();
  readonly #deps = new Map<string, Deps>();
  /** Idempotency key -> dots that were written with it. */
  readonly #calls = new Map<string, string[]>();
  readonly removals = new Removals();
  readonly #runs = new Map<string, { batch: BatchRecord; first: number; last: number }[]>();
  /** Replicas that were rolled back under their process: for them one dot may be two operations. */
  readonly forked = new Set<string>();

  /** A batch is on a disk: the author's, or another's. `floors` are those of that disk. */
  learn(batch: BatchRecord, isAuthor: boolean, floors: ReadonlyMap<string, number>): void {
    const authored = this.#of(batch.rid);
    if (isAuthor) authored.flushed = Math.max(authored.flushed, batch.last);
    else if (authored.flushed < batch.last && !this.forked.has(batch.rid)) {
      throw new Violation('F1', `${label(batch)} is on another's disk, and not on its author's`);
    }
    const at = authored.batches.findIndex(({ last }) => last >= batch.first);
    const same = at < 0 ? undefined : (authored.batches[at] as BatchRecord);
    if (same !== undefined && same.first <= batch.last) {
      if (same.hash !== batch.hash && !this.forked.has(batch.rid)) {
        throw new Violation(
          'I6',
          `${label(batch)} exists twice: ${same.hash.slice(0, 8)} and ${batch.hash.slice(0, 8)}`,
        );
      }
      return;
    }
    authored.batches.splice(at < 0 ? authored.batches.length : at, 0, batch);
    this.#remember(batch, floors);
  }

  /** Batches of a replica that begin after `from` and end at `to` at the latest. Throws where one is missing or cut (I9). */
  between(rid: string, from: number, to: number, who: string): BatchRecord[] {
    const batches = this.#of(rid).batches.filter(({ first, last }) => last > from && first <= to);
    let expected = from + 1;
    for (const { first, last } of batches) {
      if (first < expected || last > to)
        throw new Violation('I9', `${who} ends inside the batch ${short(rid)} ${first}-${last}`);
      if (first > expected) break;
      expected = last + 1;
    }
    if (expected !== to + 1) throw new Violation('F1', `${who} covers ${short(rid)} ${expected}, which is on no disk`);
    return batches;
  }

  batchesOf(rid: string): readonly BatchRecord[] {
    return this.#of(rid).batches;
  }

  get all(): IterableIterator<[string, readonly BatchRecord[]]> {
    return [...this.#authored].map(([rid, { batches }]): [string, readonly BatchRecord[]] => [rid, batches]).values();
  }

  /** What the author had taken in when it wrote the batch. */
  deps(batch: BatchRecord): Deps {
    return this.#deps.get(batch.hash) ?? new Map();
  }

  #of(rid: string): Authored {
    const known = this.#authored.get(rid);
    if (known !== undefined) return known;
    const fresh = { batches: [], flushed: 0 };
    this.#authored.set(rid, fresh);
    return fresh;
  }

  #remember(batch: BatchRecord, floors: Deps): void {
    const before = this.#of(batch.rid).batches.find(({ last }) => last === batch.first - 1);
    const deps = new Map(before === undefined ? [] : this.deps(before));
    for (const { rid, sequence } of batch.inc) deps.set(rid, Math.max(deps.get(rid) ?? 0, sequence));
    if (batch.first > 1) deps.set(batch.rid, batch.first - 1);
    this.#deps.set(batch.hash, deps);
    const asRows = (rid: string, sequence: number) => sequence <= (floors.get(rid) ?? 0);
    for (const { idempotency, dot } of batch.operations) {
      if (idempotency !== undefined) this.#checkOnce(idempotency, dot, deps, asRows);
    }
    for (const run of batch.runs) this.#checkRun(batch, run, deps, asRows);
    this.removals.learn(batch);
  }

  /** 6.3: a peer that has taken in what came of a call, not as rows, answers its retry with that. */
  #checkOnce(idempotency: string, dot: string, deps: Deps, asRows: AsRows): void {
    const others = this.#calls.get(idempotency) ?? [];
    this.#calls.set(idempotency, [...others, dot]);
    for (const other of others) {
      const [rid = '', sequence] = other.split(' ');
      const own = dot.split(' ');
      // Two operations of one batch would be two answers to one key as well.
      const covered = rid === own[0] ? Number(own[1]) - 1 : (deps.get(rid) ?? 0);
      if (Number(sequence) <= covered && !asRows(rid, Number(sequence))) {
        throw new Violation('6.3', `a call was done twice: ${other} and then ${dot}, by who had taken in the first`);
      }
    }
  }

  #checkRun(batch: BatchRecord, run: BatchRecord['runs'][number], deps: Deps, asRows: AsRows): void {
    const others = this.#runs.get(run.stream) ?? [];
    this.#runs.set(run.stream, [...others, { batch, first: run.first, last: run.last }]);
    for (const other of others) {
      if (other.last < run.first || other.first > run.last) continue;
      const covered = other.batch.rid === batch.rid ? batch.first - 1 : (deps.get(other.batch.rid) ?? 0);
      if (other.batch.last <= covered && !asRows(other.batch.rid, other.batch.last)) {
        throw new Violation(
          '6.3',
          `numbers ${run.first}-${run.last} of a stream were done twice by who had taken them in`,
        );
      }
    }
  }
}

function label({ rid, first, last }: BatchRecord): string {
  return `the batch ${short(rid)} ${first}-${last}`;
}
