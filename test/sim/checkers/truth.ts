import type { BatchRecord, Placement } from './batch-record.ts';

/** A dot as the invariants see it: names, no local numbers. */
export interface TrueDot {
  readonly dot: string;
  readonly stamp: number;
  readonly value: string;
  placement: Placement;
}

/**
 * truth(k, C) of docs/protocol.md section 2, kept up as C grows. It is a function of the set of operations, whatever their
 * order: nothing of the code under test decides here. Where an author wrote two histories a dot may be of two keys: the key tells which.
 */
export class Truth {
  readonly clock = new Map<string, number>();
  readonly rows = new Map<string, Map<string, TrueDot>>();
  readonly #gone = new Set<string>();
  readonly #amended = new Map<string, Placement>();

  /** Takes in a batch. `before` gets the rows of its keys as they were, if it has them not yet. */
  add(batch: BatchRecord, before: Map<string, string>): void {
    for (const { kind, key, dot, sees, stamp, value, placement } of batch.operations) {
      if (!before.has(key)) before.set(key, JSON.stringify(this.row(key)));
      if (kind === 'amend') for (const seen of sees) this.#amend(key, seen, placement);
      else for (const seen of sees) this.#remove(key, seen);
      if (kind === 'pin' && !this.#gone.has(`${key} ${dot}`)) {
        const amended = this.#amended.get(`${key} ${dot}`);
        const isAmended = amended !== undefined && isGreater(amended, placement);
        this.#row(key).set(dot, { dot, stamp, value, placement: isAmended ? amended : placement });
      }
    }
    this.clock.set(batch.rid, Math.max(this.clock.get(batch.rid) ?? 0, batch.last));
  }

  covers(rid: string, sequence: number): boolean {
    return sequence <= (this.clock.get(rid) ?? 0);
  }

  /** The live dots of a key, in the order of their names. */
  row(key: string): TrueDot[] {
    return [...(this.rows.get(key)?.values() ?? [])].sort((a, b) => (a.dot < b.dot ? -1 : 1));
  }

  keys(): string[] {
    return [...this.rows].flatMap(([key, row]) => (row.size > 0 ? [key] : []));
  }

  #row(key: string): Map<string, TrueDot> {
    const row = this.rows.get(key) ?? new Map<string, TrueDot>();
    this.rows.set(key, row);
    return row;
  }

  #remove(key: string, dot: string): void {
    this.#gone.add(`${key} ${dot}`);
    this.rows.get(key)?.delete(dot);
  }

  #amend(key: string, dot: string, placement: Placement): void {
    const known = this.#amended.get(`${key} ${dot}`);
    if (known === undefined || isGreater(placement, known)) this.#amended.set(`${key} ${dot}`, placement);
    const live = this.rows.get(key)?.get(dot);
    if (live !== undefined && isGreater(placement, live.placement)) live.placement = placement;
  }
}

function isGreater(a: Placement, b: Placement): boolean {
  return a.stamp === b.stamp ? a.rid > b.rid : a.stamp > b.stamp;
}
