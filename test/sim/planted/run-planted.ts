import { runSeeds } from '../seed-range.ts';
import type { Answer } from '../worker.ts';
import { catalogue, type PlantedFault } from './catalogue.ts';
import { plant } from './plant.ts';

export interface PlantedRun {
  only: string | undefined;
  workers?: number;
}

/** A fault that is not found within so many seeds of its profile says that the simulator is too weak. */
const seedsMax = 1_000;

interface Found {
  readonly seed: number;
  readonly invariant: string;
  readonly message: string;
}

/** Every fault of the catalogue; true: each was found. Prints the rows of the table in docs/simulation.md. */
export async function runPlanted({ only, ...options }: PlantedRun): Promise<boolean> {
  const faults = catalogue.filter(({ name }) => only === undefined || name === only);
  if (faults.length === 0) throw new Error(`there is no fault ${only}`);
  console.log('| fault | what | profile | found by | seeds |');
  console.log('| --- | --- | --- | --- | --- |');
  const missed: string[] = [];
  for (const fault of faults) {
    const found = await findPlanted(fault, { seedsMax, ...options });
    const { name, says, profile } = fault;
    console.log(
      `| \`${name}\` | ${says} | ${profile} | ${found?.invariant ?? '**not found**'} | ${found?.seed ?? `${seedsMax}+`} |`,
    );
    if (found === undefined) missed.push(name);
    else process.stderr.write(`  ${found.message.slice(0, 200)}\n`);
  }
  console.log(`${faults.length - missed.length} of ${faults.length} planted faults found`);
  if (missed.length > 0) console.log(`not found: ${missed.join(', ')}`);
  return missed.length === 0;
}

/** The first of that many seeds that fails by what the fault breaks. */
export async function findPlanted(
  { name, profile, breaks, ...fault }: PlantedFault,
  { seedsMax, ...options }: { seedsMax: number; workers?: number },
): Promise<Found | undefined> {
  const copy = plant({ name, profile, breaks, ...fault });
  let first: Answer | undefined;
  const others = new Map<string, number>();
  try {
    await runSeeds({
      from: 1,
      to: seedsMax,
      profile,
      ...options,
      folder: copy.folder,
      onResult(answer) {
        const { failure, seed } = answer;
        if (failure === undefined) return 'go on';
        if (!breaks.includes(failure.invariant)) {
          if (!others.has(failure.invariant))
            process.stderr.write(`  ${name}, seed ${seed}: ${failure.message.slice(0, 200)}\n`);
          others.set(failure.invariant, seed);
          return 'go on';
        }
        if (first === undefined || seed < first.seed) first = answer;
        return 'stop';
      },
    });
  } finally {
    copy.remove();
  }
  return first?.failure === undefined ? undefined : { seed: first.seed, ...first.failure };
}
