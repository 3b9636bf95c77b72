/** The values that were added last, at most so many: an older one makes room. */
export class RecentSet<T> {
  readonly #max: number;
  readonly #values = new Set<T>();

  constructor(max: number) {
    this.#max = max;
  }

  has(value: T): boolean {
    return this.#values.has(value);
  }

  /** Of one that is there already, too, this is now the last time. */
  add(value: T): void {
    this.#values.delete(value);
    if (this.#values.size >= this.#max) this.#values.delete(this.#values.values().next().value as T);
    this.#values.add(value);
  }

  /** Whether it was there. */
  delete(value: T): boolean {
    return this.#values.delete(value);
  }
}
