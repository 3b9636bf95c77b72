import type { Action } from '../world/action.ts';
import type { World } from '../world/world.ts';
import { StateSet } from './state-set.ts';

export interface SearchInit {
  readonly world: World;
  /** It stops after the depth at which so many states have come up. */
  readonly statesMax: number;
  /** One state in so many is healed. */
  readonly healEvery: number;
}

export interface Found {
  readonly problem: string;
  /** The steps that lead there: a shortest way. */
  readonly path: readonly Action[];
}

export interface Searched {
  readonly found: Found | undefined;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  readonly healed: number;
  /** Every state of the world was seen. */
  readonly isWhole: boolean;
}

/** Goes through the states of a world breadth first, so that what it finds is as short as can be. */
export function search({ world, statesMax, healEvery }: SearchInit): Searched {
  const { size } = world;
  const seen = new StateSet();
  const ways = new Ways();
  let front = new Front(size);
  let found: Found | undefined;
  let depth = 0;
  let transitions = 0;
  let healed = 0;
  const start = world.start();
  seen.add(start);
  front.push(start, ways.add(-1, 0));
  while (front.count > 0 && found === undefined && seen.size < statesMax) {
    const back = new Front(size);
    for (let i = 0; i < front.count && found === undefined; i++) {
      const parent = front.way(i);
      world.next(front.state(i), (step, state, broken) => {
        transitions++;
        // A step may be wrong that ends where others have ended rightly.
        const isNew = seen.add(state);
        if (found !== undefined || (!isNew && broken === undefined)) return;
        const way = ways.add(parent, step);
        let problem = broken ?? world.problem(state);
        if (problem === undefined && seen.hash % healEvery === 0) {
          healed++;
          problem = world.healed(state);
        }
        if (problem !== undefined) found = { problem, path: ways.to(way) };
        back.push(state, way);
      });
    }
    front = back;
    depth++;
  }
  return { found, states: seen.size, transitions, depth, healed, isWhole: front.count === 0 };
}

/** States whose steps are to be taken, one behind the other. */
class Front {
  readonly #size: number;
  #states: Int32Array;
  #ways: Int32Array;
  count = 0;

  constructor(size: number, capacity = 1024) {
    this.#size = size;
    this.#states = new Int32Array(size * capacity);
    this.#ways = new Int32Array(capacity);
  }

  state(i: number): Int32Array {
    return this.#states.subarray(i * this.#size, (i + 1) * this.#size);
  }

  way(i: number): number {
    return this.#ways[i] as number;
  }

  push(state: Int32Array, way: number): void {
    if (this.count === this.#ways.length) {
      this.#states = grown(this.#states);
      this.#ways = grown(this.#ways);
    }
    this.#states.set(state, this.count * this.#size);
    this.#ways[this.count++] = way;
  }
}

/** From which state, by which step, each state was reached first. */
class Ways {
  #parents = new Int32Array(1024);
  #steps = new Int32Array(1024);
  #count = 0;

  add(parent: number, step: Action): number {
    if (this.#count === this.#parents.length) {
      this.#parents = grown(this.#parents);
      this.#steps = grown(this.#steps);
    }
    this.#parents[this.#count] = parent;
    this.#steps[this.#count] = step;
    return this.#count++;
  }

  to(way: number): Action[] {
    const path: Action[] = [];
    for (let at = way; (this.#parents[at] as number) >= 0; at = this.#parents[at] as number) {
      path.push(this.#steps[at] as number);
    }
    return path.reverse();
  }
}

function grown(array: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
