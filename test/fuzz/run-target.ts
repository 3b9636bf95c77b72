import { deadlineSignal, raceSignal } from '../../src/runtime/abort.ts';
import { SimRandom } from '../sim/world/sim-random.ts';
import { keepAlive } from './keep-alive.ts';
import type { Outcome, Target } from './target.ts';
import { type TargetName, targets } from './targets/targets.ts';

/** One input may take so long, ms: a thousand times what most do. */
const RUN_MS = 30_000;

/** What came of one input; rejects with what is wrong, and how to see it again. */
export async function runSeed(name: TargetName, seed: number, target: Target = targets[name]): Promise<Outcome> {
  using deadline = deadlineSignal(keepAlive, RUN_MS);
  try {
    const { signal } = deadline;
    return await raceSignal(target.run(new SimRandom(seed, `fuzz ${name}`), { signal }), signal);
  } catch (cause) {
    throw new Error(`target ${name}, seed ${seed}: ${(cause as Error).message}\n  ${commandOf(name, seed)}`, { cause });
  }
}

export function commandOf(name: TargetName, seed: number): string {
  return `npm run fuzz -- --target ${name} --seed ${seed}`;
}
