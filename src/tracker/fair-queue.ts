/** First come, first served within a flow; the flows that have something take turns. */
export class FairQueue<T extends { flow: number }> {
  /** In the order of their turns; none is empty. */
  readonly #flows = new Map<number, T[]>();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  lengthOf(flow: number): number {
    return this.#flows.get(flow)?.length ?? 0;
  }

  push(item: T): void {
    const items = this.#flows.get(item.flow);
    if (items === undefined) this.#flows.set(item.flow, [item]);
    else items.push(item);
    this.#length++;
  }

  shift(): T | undefined {
    const [turn] = this.#flows;
    if (turn === undefined) return undefined;
    const [flow, items] = turn;
    const item = items.shift();
    this.#flows.delete(flow);
    if (items.length > 0) this.#flows.set(flow, items);
    this.#length--;
    return item;
  }

  /** Whether it was there. */
  remove(item: T): boolean {
    const items = this.#flows.get(item.flow);
    const at = items?.indexOf(item) ?? -1;
    if (items === undefined || at === -1) return false;
    items.splice(at, 1);
    if (items.length === 0) this.#flows.delete(item.flow);
    this.#length--;
    return true;
  }

  /** How many are served before it, if nothing comes; 0 also for what is not there. */
  ahead(item: T): number {
    const at = this.#flows.get(item.flow)?.indexOf(item) ?? -1;
    if (at === -1) return 0;
    let ahead = at;
    let isTurnBefore = true;
    for (const [flow, { length }] of this.#flows) {
      if (flow === item.flow) isTurnBefore = false;
      else ahead += Math.min(length, isTurnBefore ? at + 1 : at);
    }
    return ahead;
  }
}
