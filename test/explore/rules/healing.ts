import { isNeedless } from '../../../src/consensus/crdt/core/rebuild.ts';
import { hearsOnlyFullNeeded, type SyncNews } from '../../../src/consensus/crdt/core/rebuild-need.ts';
import { knownBatch } from '../world/batches.ts';
import { clockOfSlots, covers, join } from '../world/clocks.ts';
import { answeredAt, DEAD, flushedAt, type Layout, replicaAt } from '../world/layout.ts';
import { dotName, keysMax, peerName } from '../world/names.ts';
import type { State } from '../world/steps.ts';
import { type Shadow, type Store, storeAt } from '../world/store.ts';
import { begun, clocksOf, discarded, filled, isUseless, mergedRange, swappedStore, unnamed } from './rebuilding.ts';
import { fullNeeded, nothingLeft, offered } from './syncing.ts';
import { take, takeIntoShadow } from './taking.ts';

interface Healed {
  readonly problem: string | undefined;
  /** The clock that all have. */
  readonly sequences: readonly number[];
}

/**
 * Heals a state: all that live restart from their disks, nobody writes, and anti-entropy alone runs, at all peers at once and
 * step by step; shadows go on, and are discarded only where nothing else moves. All must come out equal, with every durable
 * operation (I8).
 */
export class Healing {
  readonly #layout: Layout;
  readonly #known = new Map<string, Healed>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  problem(state: State): string | undefined {
    const { problem, sequences } = this.#healed(state);
    if (problem !== undefined) return `${problem}, after healing`;
    for (let replica = 0; replica < this.#layout.replicas; replica++) {
      const durable = (state[answeredAt(replica)] as number) & 0xff;
      if (durable > (sequences[replica] as number)) return 'I4: a durable operation is lost, after healing';
    }
    return undefined;
  }

  /** What happens while it heals, a line for each step. */
  story(state: State): string[] {
    const lines: string[] = [];
    const stores = this.#disks(state).map(storeAt);
    new Cluster(stores, (peer, what) => lines.push(`${this.#alive(state)[peer]} ${what}`)).heal();
    return lines;
  }

  #alive(state: State): string[] {
    const peers = Array.from({ length: this.#layout.peers }, (_, peer) => peer);
    return peers.filter((peer) => (state[replicaAt(peer)] as number) < DEAD).map(peerName);
  }

  #disks(state: State): number[] {
    const disks: number[] = [];
    for (let peer = 0; peer < this.#layout.peers; peer++) {
      if ((state[replicaAt(peer)] as number) < DEAD) disks.push(state[flushedAt(peer)] as number);
    }
    return disks;
  }

  /** Where it ends rests on the disks alone. */
  #healed(state: State): Healed {
    const disks = this.#disks(state);
    const text = disks.join();
    let healed = this.#known.get(text);
    if (healed === undefined) {
      healed = new Cluster(disks.map(storeAt)).heal();
      this.#known.set(text, healed);
    }
    return healed;
  }
}

function batchName(id: number): string {
  const { replica, first } = knownBatch(id);
  return dotName(replica, first);
}

/** The peers that live, while they heal. */
class Cluster {
  readonly #stores: Store[];
  readonly #tell: (peer: number, what: string) => void;
  #problem: string | undefined;

  constructor(stores: Store[], tell: (peer: number, what: string) => void = () => {}) {
    this.#tell = tell;
    this.#stores = stores;
  }

  heal(): Healed {
    let rebuilds = 0;
    for (;;) {
      while (this.#progress()) {}
      const isAny = this.#discardAll();
      const begun = this.#beginAll();
      rebuilds += begun;
      if (!isAny && begun === 0) break;
      if (rebuilds > 2 * this.#stores.length) return { problem: 'I8: rebuilds never end', sequences: [] };
    }
    const [{ sequences }] = this.#stores as [Store];
    const problem = this.#problem ?? this.#stores.map((store) => store.problem).find((found) => found !== undefined);
    const isEqual = this.#stores.every((store) => store.sequences.join() === sequences.join());
    return { problem: problem ?? (isEqual ? undefined : 'I8: the clocks are not equal'), sequences };
  }

  /** One step of anti-entropy at every peer; false: there was none. */
  #progress(): boolean {
    let isAny = false;
    for (const peer of this.#stores.keys()) isAny = this.#progressAt(peer) || isAny;
    return isAny;
  }

  #progressAt(peer: number): boolean {
    const before = this.#stores[peer] as Store;
    const live = this.#offered(before.value.clock);
    if (live !== nothingLeft) this.#replace(peer, take(before, live), `takes ${batchName(live)}`);
    if (this.#shadow(peer) !== undefined) this.#rebuild(peer);
    return this.#stores[peer] !== before;
  }

  #rebuild(peer: number): void {
    const swap = swappedStore(this.#stores[peer] as Store);
    if (swap !== undefined) {
      this.#stores[peer] = swap.store;
      this.#problem ??= swap.problem;
      this.#tell(peer, 'swaps the shadow in');
      return;
    }
    const shadow = this.#shadow(peer) as Shadow;
    const clocks = clocksOf(shadow);
    if (clocks !== undefined && isNeedless(clocks, clockOfSlots((this.#stores[peer] as Store).value.clock))) {
      this.#stores[peer] = discarded(this.#stores[peer] as Store); // B6
      this.#tell(peer, 'discards its shadow, which would bring nothing');
      return;
    }
    const id = clocks === undefined ? nothingLeft : this.#offered(shadow.taken);
    if (id !== nothingLeft) {
      this.#replace(peer, takeIntoShadow(this.#stores[peer] as Store, id), `takes ${batchName(id)} into its shadow`);
    }
    if (shadow.next < keysMax) this.#fill(peer);
  }

  /** B1 and B2, from the first whose answer can be taken. */
  #fill(peer: number): void {
    const before = this.#stores[peer] as Store;
    const { next } = this.#shadow(peer) as Shadow;
    const { clock: cm, rows } = before.value;
    for (const [source, { value }] of this.#stores.entries()) {
      if (source === peer || (next === 0 && isUseless(cm, value.clock))) continue;
      const range = mergedRange(next, rows[next] as number, cm, value.rows[next] as number, value.clock);
      const after = filled(before, { stage: 'answered', source, e: join(cm, value.clock), ...range });
      this.#stores[peer] = after;
      if (after === before) continue;
      this.#tell(peer, `fills the range of key ${next}, from another`);
      return;
    }
  }

  #shadow(peer: number): Shadow | undefined {
    return (this.#stores[peer] as Store).value.shadow;
  }

  #replace(peer: number, result: Store | string, what: string): void {
    if (typeof result !== 'object') return;
    this.#stores[peer] = result;
    this.#tell(peer, what);
  }

  /** From any log, the own one too. */
  #offered(clock: Shadow['taken']): number {
    for (const source of this.#stores) {
      const id = offered(source, clock);
      if (id !== fullNeeded && id !== nothingLeft) return id;
    }
    return nothingLeft;
  }

  #discardAll(): boolean {
    let isAny = false;
    for (const [peer, store] of this.#stores.entries()) {
      if (store.value.shadow === undefined) continue;
      this.#stores[peer] = discarded(store);
      this.#tell(peer, 'discards its shadow, since nothing moves');
      isAny = true;
    }
    return isAny;
  }

  #beginAll(): number {
    const needy = this.#stores.filter((store) => hearsOnlyFullNeeded(this.#news(store)));
    for (const store of needy) {
      const peer = this.#stores.indexOf(store);
      this.#stores[peer] = begun(store, unnamed);
      this.#tell(peer, 'begins a shadow');
    }
    return needy.length;
  }

  #news(store: Store): SyncNews[] {
    return this.#stores
      .filter((other) => other !== store && !covers(store.value.clock, other.value.clock))
      .map((other) => {
        const id = offered(other, store.value.clock);
        if (id === fullNeeded) return 'full-needed';
        return id === nothingLeft ? 'nothing-new' : 'serving';
      });
  }
}
