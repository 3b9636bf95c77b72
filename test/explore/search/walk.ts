import { type Action, type ActionKind, actionParts } from '../world/action.ts';
import type { World } from '../world/world.ts';
import type { Searched } from './search.ts';

export interface WalkInit {
  readonly world: World;
  readonly seed: number;
  /** It ends with the walk in which so many steps have been taken. */
  readonly stepsMax: number;
}

const stepsOfWalkMax = 200;
/** These get on with what was begun; without them most walks would be of writes alone. */
const likely: ReadonlySet<ActionKind> = new Set(['deliver', 'flush', 'answer', 'store', 'take', 'swap']);

/** Walks at random through a world too wide to be searched, each walk to its end, and heals every state. */
export function walk({ world, seed, stepsMax }: WalkInit): Searched {
  const random = randomOf(seed);
  const counts = { states: 0, transitions: 0, depth: 0, healed: 0, isWhole: false };
  while (counts.states < stepsMax) {
    const path: Action[] = [];
    const problem = walkOnce(world, random, path, counts);
    counts.depth = Math.max(counts.depth, path.length);
    if (problem !== undefined) return { ...counts, found: { problem, path } };
  }
  return { ...counts, found: undefined };
}

type Counts = { states: number; transitions: number; healed: number };

function walkOnce(world: World, random: () => number, path: Action[], counts: Counts): string | undefined {
  let state = world.start();
  while (path.length < stepsOfWalkMax) {
    const step = oneOf(world, state, random, counts);
    if (step === undefined) return undefined;
    path.push(step.action);
    counts.states++;
    counts.healed++;
    const problem = step.broken ?? world.problem(step.state) ?? world.healed(step.state);
    if (problem !== undefined) return problem;
    state = step.state;
  }
  return undefined;
}

interface Step {
  readonly action: Action;
  readonly state: Int32Array;
  readonly broken: string | undefined;
}

/** One of the possible steps, each as probable as its weight says. */
function oneOf(world: World, from: Int32Array, random: () => number, counts: Counts): Step | undefined {
  let chosen: Step | undefined;
  let weights = 0;
  world.next(from, (action, state, broken) => {
    counts.transitions++;
    const weight = likely.has(actionParts(action).kind) ? 4 : 1;
    weights += weight;
    if (random() * weights < weight) chosen = { action, state: state.slice(), broken };
  });
  return chosen;
}

/** Numbers that look random and are the same in every run (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
