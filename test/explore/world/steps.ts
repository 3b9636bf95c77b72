import type { Action } from './action.ts';
import { knownBatch } from './batches.ts';
import type { Bounds } from './bounds.ts';
import { batchOf } from './clocks.ts';
import {
  answeredAt,
  callAt,
  currentAt,
  DEAD,
  flushedAt,
  type Layout,
  layoutOf,
  madeAt,
  memoryAtPeer,
  replicaAt,
  sentAt,
} from './layout.ts';
import { emptyMemory } from './memory.ts';
import { type Store, storeAt } from './store.ts';

/** Where a world stands: numbers, as layout.ts says. */
export type State = Int32Array;

/** Given every step that is possible, with the state that it ends in, which is used again; `problem`: the step itself broke an invariant. */
export type Emit = (action: Action, state: State, problem: string | undefined) => void;

/** One state, and the steps from it as they are made: copy, change, end. */
export class Steps {
  readonly bounds: Bounds;
  readonly layout: Layout;
  from: State;
  readonly to: State;
  emit: Emit = () => {};

  constructor(bounds: Bounds) {
    this.bounds = bounds;
    this.layout = layoutOf(bounds);
    this.from = new Int32Array(this.layout.size);
    this.to = new Int32Array(this.layout.size);
  }

  /** The state to be changed into what comes of a step. */
  begin(): State {
    this.to.set(this.from);
    return this.to;
  }

  /** I11 holds of every step but those that end with `endAnew`. */
  end(action: Action, peer: number, problem = this.#goneBack(peer)): void {
    this.endAnew(action, peer, problem);
  }

  /** A peer starts again, with what its disk has. */
  endAnew(action: Action, peer: number, problem?: string): void {
    if (this.bounds.isFlushedAtOnce && this.isAlive(peer, this.to)) flush(this.to, peer);
    this.emit(action, this.to, problem);
  }

  #goneBack(peer: number): string | undefined {
    const [before, after] = [this.from[currentAt(peer)] as number, this.to[currentAt(peer)] as number];
    if (before === after) return undefined;
    const [was, is] = [storeAt(before), storeAt(after)];
    for (let replica = 0; replica < this.layout.replicas; replica++) {
      if ((is.sequences[replica] as number) < (was.sequences[replica] as number)) return 'I11: the clock went back';
      if ((is.value.floor[replica] as number) < (was.value.floor[replica] as number)) return 'I11: the floor went back';
    }
    return undefined;
  }

  isAlive(peer: number, state = this.from): boolean {
    return (state[replicaAt(peer)] as number) < DEAD;
  }

  current(peer: number): Store {
    return storeAt(this.from[currentAt(peer)] as number);
  }

  flushed(peer: number): Store {
    return storeAt(this.from[flushedAt(peer)] as number);
  }

  /** On the disks of those that live. */
  flushedStores(): Store[] {
    return this.others(-1).map((peer) => this.flushed(peer));
  }

  /** The live peers but this one. */
  others(peer: number): number[] {
    const { peers } = this.layout;
    const others: number[] = [];
    for (let other = 0; other < peers; other++) if (other !== peer && this.isAlive(other)) others.push(other);
    return others;
  }
}

/** What is on the disk is answered (C3) and may leave the peer (F1). */
export function flush(state: State, peer: number): void {
  const current = state[currentAt(peer)] as number;
  state[flushedAt(peer)] = current;
  const replica = state[replicaAt(peer)] as number;
  const slot = storeAt(current).value.clock[replica] as number;
  if (slot === 0) return;
  const batch = knownBatch(batchOf(slot));
  if (batch.last > lastOf(state[sentAt(replica)] as number)) state[sentAt(replica)] = batch.id;
  const answered = state[answeredAt(replica)] as number;
  if (batch.last > (answered & 0xff)) state[answeredAt(replica)] = (answered & ~0xff) | batch.last;
}

/** What was not flushed is gone, and what nobody saw was never written. */
export function crash(state: State, peer: number): void {
  const replica = state[replicaAt(peer)] as number;
  const flushed = state[flushedAt(peer)] as number;
  const kept = batchOf(storeAt(flushed).value.clock[replica] as number);
  const sent = state[sentAt(replica)] as number;
  const seen = lastOf(sent) > lastOf(kept) ? sent : kept;
  if (lastOf(state[madeAt(replica)] as number) > lastOf(seen)) state[madeAt(replica)] = seen;
  state[currentAt(peer)] = flushed;
  state[memoryAtPeer(peer)] = emptyMemory;
  state[callAt(peer)] = 0;
}

export function lastOf(batch: number): number {
  return batch === 0 ? 0 : knownBatch(batch).last;
}

/** Adds to a count in COUNTS. */
export function countUp(state: State, shift: number, by = 1): void {
  state[0] = (state[0] as number) + (by << shift);
}

export function count(state: State, shift: number): number {
  return ((state[0] as number) >> shift) & 15;
}
