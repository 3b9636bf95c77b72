import type { DamageKind } from '../plan/plan.ts';
import { Violation } from '../world/violation.ts';

/** What an operator repairs a store for. */
export const damageAlerts: readonly string[] = ['ROW_DAMAGED', 'INDEX_DAMAGED', 'DIVERGED'];

export interface Damaged {
  readonly what: DamageKind;
  /** Pin key, hex. */
  readonly key: string;
  readonly bucket: number;
  /** Of a `flip-entry` what came of it: `table entry`, hex. */
  readonly strays: readonly string[];
  /** It has not reached the disk, on which all looks whole so far. */
  readonly isPending?: () => boolean;
}

/** What is damaged in the store of one machine: left out of what is checked there until it is whole again, and nothing else. */
export class DamagedStore {
  readonly #muddled: Set<string>;
  /** Pin key -> what was done to its row or its entries, as long as they are not right. */
  readonly keys = new Map<string, Damaged>();
  /** Whose rows do not add up to the digest. */
  readonly buckets = new Map<number, Damaged>();
  /** Pin keys that ever were. */
  readonly ever = new Set<string>();
  readonly everForgotten = new Set<string>();
  /** Keys of batches of the log that were changed or lost. */
  readonly batches = new Set<string>();

  constructor(muddled: Set<string>) {
    this.#muddled = muddled;
  }

  get isWhole(): boolean {
    return this.keys.size + this.buckets.size === 0;
  }

  add(damaged: Damaged): void {
    this.keys.set(damaged.key, damaged);
    this.ever.add(damaged.key);
    if (damaged.what === 'forget') this.everForgotten.add(damaged.key);
    if (isOfRow(damaged)) this.buckets.set(damaged.bucket, damaged);
  }

  /** An operation came upon a row that is not right: what the digest says is not that of the right rows any more. */
  writtenOver(key: string): void {
    this.#muddled.add(key);
  }

  /** Whether an entry of an index is of a key that is damaged. */
  isEntryDamaged(keyHash: string, entry: string): boolean {
    for (const { key, strays } of this.keys.values())
      if (key.startsWith(keyHash) || strays.includes(entry)) return true;
    return false;
  }

  standing(): Damaged[] {
    return [...new Set([...this.keys.values(), ...this.buckets.values()])];
  }
}

/** All damage in a world. */
export class Damages {
  /**
   * Keys of which nothing proves any more which row is right. A repair keeps the union of both sides' dots (docs/protocol.md section
   * 8): so a peer may have more than the truth, and never less.
   */
  readonly muddled = new Set<string>();
  readonly #stores = new Map<string, DamagedStore>();

  of(machine: string): DamagedStore {
    const known = this.#stores.get(machine);
    if (known !== undefined) return known;
    const fresh = new DamagedStore(this.muddled);
    this.#stores.set(machine, fresh);
    return fresh;
  }

  get wereAny(): boolean {
    return [...this.#stores.values()].some(({ ever }) => ever.size > 0);
  }

  wasEver(key: string): boolean {
    return [...this.#stores.values()].some(({ ever }) => ever.has(key));
  }

  /** What a defect has removed along with its digest: no digest shows it to whoever takes that store's rows, before it is put right. */
  isForgotten(key: string): boolean {
    return [...this.#stores.values()].some(({ everForgotten }) => everForgotten.has(key));
  }

  /** A bucket is damaged at one peer at most: with the others' rows it can be put right. */
  isTaken(bucket: number, key: string): boolean {
    if (this.muddled.has(key)) return true;
    return [...this.#stores.values()].some((store) => store.standing().some((damaged) => damaged.bucket === bucket));
  }
}

/** What a scrub reads of damage that stood before it began and when it had ended. */
export function checkFound(
  who: string,
  damaged: Damaged,
  found: readonly { bucket: number; kind: string }[],
  alerts: readonly { kind: string; message: string }[],
): void {
  const { what, key, bucket } = damaged;
  // Of an entry that was flipped and since written anew only the stray is left, and that may be of another bucket.
  const strays = found.filter(({ kind }) => what === 'flip-entry' && kind === 'orphan').map((each) => each.bucket);
  const buckets = [bucket, ...strays];
  const finds = (kinds: readonly string[]) =>
    found.some((each) => buckets.includes(each.bucket) && kinds.includes(each.kind));
  const isRow = isOfRow(damaged);
  if (!finds(isRow ? ['row', 'sum'] : ['index', 'orphan']))
    throw new Violation('DAMAGE', `the scrub of ${who} did not find ${what} of ${key.slice(0, 8)}, bucket ${bucket}`);
  const kind = isRow ? 'ROW_DAMAGED' : 'INDEX_DAMAGED';
  const named = new RegExp(`\\b(${buckets.join('|')})\\b| more:`);
  if (!alerts.some((alert) => alert.kind === kind && named.test(alert.message)))
    throw new Violation('DAMAGE', `${who} raises no ${kind} that names bucket ${bucket}`);
}

/** A row is changed or gone, and its digest is not. */
function isOfRow({ what }: Damaged): boolean {
  return what === 'flip' || what === 'flip-dot' || what === 'garble' || what === 'lose';
}
