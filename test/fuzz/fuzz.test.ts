import t from 'tap';
import type { SimRandom } from '../sim/world/sim-random.ts';
import { runSeed } from './run-target.ts';
import { type TargetName, targets } from './targets/targets.ts';

// The fixed budget of `npm test`; `npm run fuzz` goes on with new seeds.
const inputs = process.env.TEST_LONG === undefined ? 100 : 20_000;

for (const name of Object.keys(targets) as TargetName[]) {
  t.test(`${name}: ${targets[name].says}`, async (t) => {
    const counts = { taken: 0, refused: 0 };
    for (let seed = 1; seed <= inputs; seed++) counts[await runSeed(name, seed)]++;
    for (const [outcome, count] of Object.entries(counts))
      t.ok(count > inputs / 20, `${count} of ${inputs} are ${outcome}`);
  });
}

t.test('what is wrong is told with the command that shows it again', async (t) => {
  const broken = {
    says: '',
    run: async (random: SimRandom) => Promise.reject(new Error(`broken by ${random.int(0, 0)}`)),
  };
  await t.rejects(runSeed('car', 42, broken), {
    message: 'target car, seed 42: broken by 0\n  npm run fuzz -- --target car --seed 42',
  });
});
