import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The files under gen/ that differ from what `buf generate` makes of proto/ now. Needs no network. */
export function compareGenerated(): string[] {
  const fresh = mkdtempSync(join(tmpdir(), 'pinfold-gen-'));
  try {
    const { status, stderr } = spawnSync('node_modules/.bin/buf', ['generate', '-o', fresh], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`buf generate failed: ${stderr}`);
    const paths = new Set([...list('.'), ...list(fresh)]);
    return [...paths].filter((path) => read('.', path) !== read(fresh, path)).sort();
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function list(root: string): string[] {
  return globSync('gen/**/*.ts', { cwd: root });
}

function read(root: string, path: string): string | undefined {
  const file = join(root, path);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
