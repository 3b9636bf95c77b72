import { Healing } from '../rules/healing.ts';
import { ackSteps } from '../steps/ack-steps.ts';
import { cutSteps } from '../steps/cut-steps.ts';
import { diskSteps, emptyStore } from '../steps/disk-steps.ts';
import { liveSteps } from '../steps/live-steps.ts';
import { rebuildSteps } from '../steps/rebuild-steps.ts';
import type { Bounds } from './bounds.ts';
import { BACKUP, currentAt, flushedAt, replicaAt } from './layout.ts';
import { stateProblem } from './state-problem.ts';
import { type Emit, type State, Steps } from './steps.ts';

/** A small world: every step from a state, every invariant in a state, and what becomes of a state when all is well again. */
export class World {
  readonly bounds: Bounds;
  readonly #steps: Steps;
  readonly #healing: Healing;

  constructor(bounds: Bounds) {
    this.bounds = bounds;
    this.#steps = new Steps(bounds);
    this.#healing = new Healing(this.#steps.layout);
  }

  get size(): number {
    return this.#steps.layout.size;
  }

  start(): State {
    const state = new Int32Array(this.size);
    state[BACKUP] = emptyStore().id;
    for (let peer = 0; peer < this.bounds.peers; peer++) {
      state[currentAt(peer)] = state[flushedAt(peer)] = emptyStore().id;
      state[replicaAt(peer)] = peer;
    }
    return state;
  }

  next(state: State, emit: Emit): void {
    const steps = this.#steps;
    steps.from = state;
    steps.emit = emit;
    for (let peer = 0; peer < this.bounds.peers; peer++) {
      if (steps.isAlive(peer)) this.#nextAt(peer);
    }
    diskSteps(steps);
  }

  #nextAt(peer: number): void {
    const steps = this.#steps;
    liveSteps(steps, peer);
    cutSteps(steps, peer);
    rebuildSteps(steps, peer);
    if (this.bounds.acknowledges) ackSteps(steps, peer);
  }

  problem(state: State): string | undefined {
    return stateProblem(this.#steps.layout, state);
  }

  healingStory(state: State): string[] {
    return this.#healing.story(state);
  }

  /** I8: what is wrong after healing. */
  healed(state: State): string | undefined {
    return this.#healing.problem(state);
  }
}
