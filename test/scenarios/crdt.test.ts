import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runScenario } from '../support/crdt-scenario.ts';

// Each file is a story: commands, and below each what it changed, indented. UPDATE=1 writes what happens now into the files.

const folder = join(import.meta.dirname, 'crdt');
const only = process.env.SCENARIO;

for (const file of readdirSync(folder).sort()) {
  if (only !== undefined && !file.includes(only)) continue;
  t.test(file, async (t) => {
    const path = join(folder, file);
    const text = readFileSync(path, 'utf8');
    const trace = await runScenario(text);
    if (process.env.UPDATE === '1') writeFileSync(path, trace);
    t.equal(trace, process.env.UPDATE === '1' ? trace : text);
  });
}
