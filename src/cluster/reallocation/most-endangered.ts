/** Keeps at most so many items, those of the lowest ranks; of one rank, those that came first. */
export class MostEndangered<T> {
  readonly #max: number;
  readonly #byRank = new Map<number, T[]>();
  #size = 0;
  #isFull = false;

  constructor(max: number) {
    this.#max = max;
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Something was left out. */
  get isFull(): boolean {
    return this.#isFull;
  }

  add(rank: number, item: T): void {
    if (this.#size >= this.#max) {
      this.#isFull = true;
      const highest = Math.max(...this.#byRank.keys());
      if (rank >= highest) return;
      this.#dropOne(highest);
    }
    const items = this.#byRank.get(rank);
    if (items === undefined) this.#byRank.set(rank, [item]);
    else items.push(item);
    this.#size++;
  }

  /** Lowest rank first. */
  *items(): Iterable<T> {
    for (const rank of [...this.#byRank.keys()].sort((a, b) => a - b)) yield* this.#byRank.get(rank) as T[];
  }

  #dropOne(rank: number): void {
    const items = this.#byRank.get(rank) as T[];
    items.pop();
    if (items.length === 0) this.#byRank.delete(rank);
    this.#size--;
  }
}
