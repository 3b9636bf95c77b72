import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import type { Figure } from '../../bench/figures.ts';

const main = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));

/** Figures of a small run. A benchmark fails by itself where memory grows, a node is asked, or pins are missing. */
async function figuresOf(name: string, pins: number): Promise<Map<string, Figure>> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, name, `--pins=${pins}`, '--json']);
  const figures = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Figure);
  return new Map(figures.map((figure) => [figure.figure, figure]));
}

t.test('statuses of three peers: pages of errors and a listing', async (t) => {
  const figures = await figuresOf('status', 2_000);
  t.same([...figures.keys()], ['error-page-p99-ms', 'error-page-heap', 'list-rate', 'list-plain', 'list-memory']);
  for (const { figure, value, limit = 0 } of figures.values()) {
    if (figure !== 'list-memory') t.ok(value > 0 && limit > 0, `${figure}: ${value} of ${limit}`);
  }
});
