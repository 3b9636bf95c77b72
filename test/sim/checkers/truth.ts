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
 * order: nothing of the code under test decides here.
 */
export class Truth {
  readonly clock = new Map<string, number>();
  readonly rows = new Map<string, Map<string, TrueDot>>();
  readonly #gone = new Set<string>();
  readonly #amended = new Map<string, Placement>();

  /** Takes in a batch; the keys whose live rows changed. */
  add(batch: BatchRecord, touched: Set<string>): void {
    for (const { kind, key, dot, sees, stamp, value, placement } of batch.operations) {
      if (kind === 'amend') for (const seen of sees) this.#amend(key, seen, placement, touched);
      else for (const seen of sees) this.#remove(key, seen, touched);
      if (kind === 'pin' && !this.#gone.has(dot)) {
        const amended = this.#amended.get(dot);
        this.#row(key).set(dot, {
          dot,
          stamp,
          value,
          placement: amended !== undefined && isGreater(amended, placement) ? amended : placement,
        });
        touched.add(key);
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

  #remove(key: string, dot: string, touched: Set<string>): void {
    this.#gone.add(dot);
    if (this.rows.get(key)?.delete(dot)) touched.add(key);
  }

  #amend(key: string, dot: string, placement: Placement, touched: Set<string>): void {
    const known = this.#amended.get(dot);
    if (known === undefined || isGreater(placement, known)) this.#amended.set(dot, placement);
    const live = this.rows.get(key)?.get(dot);
    if (live === undefined || !isGreater(placement, live.placement)) return;
    live.placement = placement;
    touched.add(key);
  }
}

function isGreater(a: Placement, b: Placement): boolean {
  return a.stamp === b.stamp ? a.rid > b.rid : a.stamp > b.stamp;
}
