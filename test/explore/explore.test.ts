import { readFileSync } from 'node:fs';
import t from 'tap';
import { type FaultName, faults } from './faults.ts';
import { type Job, patchesOf } from './search/job.ts';
import { patched } from './search/patched.ts';
import { runInThread, runInThreads } from './search/run-in-thread.ts';
import { type SliceName, slices } from './slices.ts';

// TEST_LONG (npm run test:long): every slice, and every fault. docs/exploration.md says what they are.
const isLong = process.env.TEST_LONG !== undefined;
/** As many as the model of the protocol has that these worlds were taken from: the same world, so the same number. */
const causalStates = 382_011;
const longMs = 30 * 60_000;

t.test('every state of a small causal world, each healed', { timeout: 60_000 }, async (t) => {
  const { found, isWhole, states, story } = await runInThread({ kind: 'slice', name: 'small', statesMax: 1e6 });
  t.equal(found?.problem, undefined, story.join('\n'));
  t.ok(isWhole);
  t.equal(states, 14_625);
});

t.test('random walks through a world of everything at once, every state healed', { timeout: 60_000 }, async (t) => {
  const seed = Number(process.env.FC_SEED ?? Math.floor(Math.random() * 2 ** 31) + 1);
  t.comment(`npm run explore -- walks --states 5000 --seed ${seed}`);
  const { found, story } = await runInThread({ kind: 'slice', name: 'walks', statesMax: 5_000, seed });
  t.equal(found?.problem, undefined, story.join('\n'));
});

t.test('planted faults are found, or nothing of the above says anything', { timeout: longMs }, async (t) => {
  const quick: FaultName[] = ['superseded-left-out', 'log-hole', 'merge-never-removes', 'no-causal-condition'];
  const names = isLong ? (Object.keys(faults) as FaultName[]) : quick;
  for await (const { name, found } of runInThreads(names.map(faultJob), 2)) {
    const { breaks } = faults[name as FaultName];
    t.equal(found?.problem.split(':')[0], breaks, name);
    t.ok((found?.path.length ?? 0) > 0);
  }
});

t.test('every fault can still be planted', async (t) => {
  for (const [name, { patches }] of Object.entries(faults)) {
    for (const patch of patches) {
      const source = readFileSync(`src/consensus/crdt/core/${patch.file}`, 'utf8');
      t.doesNotThrow(() => patched(source, patch), name);
    }
  }
});

t.test('a patch whose text is not in the sources any more fails', async (t) => {
  const job = faultJob('no-causal-condition');
  const [patch] = patchesOf(job);
  t.ok(patch);
  const gone = { ...patch, file: 'judge.ts', find: 'a text that stands nowhere', replace: '' };
  await t.rejects(runInThread(job, [gone]), /stands there 0 times/);
  await t.rejects(runInThread(job, [{ ...gone, file: 'no-such-file.ts' }]), /does not load it/);
});

if (isLong) {
  t.test('every slice: no invariant is broken', { timeout: longMs }, async (t) => {
    const names = Object.keys(slices) as SliceName[];
    for await (const { name, found, states, isWhole, story } of runInThreads(names.map(sliceJob), 2)) {
      t.equal(found?.problem, undefined, `${name}: ${states} states\n${story.join('\n')}`);
      t.ok(isWhole || states >= 200_000, name);
      if (name === 'causal') t.equal(states, causalStates);
    }
  });
}

function faultJob(name: FaultName): Job {
  return { kind: 'fault', name, statesMax: 1e6 };
}

function sliceJob(name: SliceName): Job {
  return { kind: 'slice', name, statesMax: name === 'causal' ? 1e6 : 200_000 };
}
