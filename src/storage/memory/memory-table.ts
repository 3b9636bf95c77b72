import sortedBTree from 'sorted-btree';
import type { Entry, Range } from '../storage.ts';

// A CommonJS package: its default export is a property of ours.
type Tree = sortedBTree.default<Uint8Array, Uint8Array>;

/** One table: a tree whose clones share what neither changes. Keeps arrays that it is given, hands out copies. */
export class MemoryTable {
  readonly #tree: Tree;
  #bytes: number;

  constructor(tree: Tree, bytes: number) {
    this.#tree = tree;
    this.#bytes = bytes;
  }

  get entries(): number {
    return this.#tree.size;
  }

  /** Of keys and values. */
  get bytes(): number {
    return this.#bytes;
  }

  clone(): MemoryTable {
    return new MemoryTable(this.#tree.clone(), this.#bytes);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#tree.get(key)?.slice();
  }

  put(key: Uint8Array, value: Uint8Array): void {
    const before = this.#tree.get(key);
    this.#bytes += value.length + (before === undefined ? key.length : -before.length);
    this.#tree.set(key, value);
  }

  remove(key: Uint8Array): void {
    const before = this.#tree.get(key);
    if (before === undefined) return;
    this.#bytes -= key.length + before.length;
    this.#tree.delete(key);
  }

  *range({ from, to, reverse = false, limit = Number.POSITIVE_INFINITY }: Range): Iterable<Entry> {
    let left = limit;
    // `true`: without `to` itself.
    const entries = reverse ? this.#tree.entriesReversed(to, undefined, true) : this.#tree.entries(from);
    for (const [key, value] of entries) {
      const over = reverse
        ? from !== undefined && compareBytes(key, from) < 0
        : to !== undefined && compareBytes(key, to) >= 0;
      if (over || left-- <= 0) return;
      yield { key: key.slice(), value: value.slice() };
    }
  }
}

export function emptyTable(): MemoryTable {
  return new MemoryTable(new sortedBTree.default<Uint8Array, Uint8Array>(undefined, compareBytes), 0);
}

/** As `memcmp` does; the shorter first when one begins with the other. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
