import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The version that the tests are made for; test/kubo/go.mod names the same. */
export const kuboVersion = '0.42.0';

const root = fileURLToPath(new URL('..', import.meta.url));
const built = join(root, 'node_modules/.cache/pinfold-kubo', `ipfs-${kuboVersion}`);

export interface Kubo {
  /** The program, if there is one. */
  path: string | undefined;
  /** Otherwise: why there is none. */
  missing: string;
}

/** The `ipfs` of this version from `PATH`, or the one that was built before. Builds nothing. */
export function findKubo(): Kubo {
  const path = [...onPath(), built].find(fits);
  return { path, missing: path === undefined ? `no ipfs ${kuboVersion} on PATH, and none was built` : '' };
}

/** The same, and builds it with Go where there is none: once, in 2 to 3 minutes. */
export function prepareKubo(say: (line: string) => void): Kubo {
  const found = findKubo();
  if (found.path !== undefined) return found;
  const go = spawnSync('go', ['version'], { stdio: 'ignore' });
  if (go.error !== undefined || go.status !== 0)
    return { path: undefined, missing: `${found.missing}: there is no Go` };
  say(`building Kubo ${kuboVersion} with Go, once: 2 to 3 minutes ...`);
  mkdirSync(resolve(built, '..'), { recursive: true });
  // Under another name until it is whole: a build that is cut off leaves nothing that looks like a program.
  const unfinished = `${built}.${process.pid}`;
  const { status } = spawnSync('go', ['build', '-o', unfinished, 'github.com/ipfs/kubo/cmd/ipfs'], {
    cwd: join(root, 'test/kubo'),
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) return { path: undefined, missing: `${found.missing}: building it with Go failed` };
  renameSync(unfinished, built);
  return findKubo();
}

function onPath(): string[] {
  return (process.env.PATH ?? '').split(delimiter).flatMap((folder) => {
    const path = join(folder, 'ipfs');
    return folder !== '' && existsSync(path) ? [path] : [];
  });
}

function fits(path: string): boolean {
  const { stdout, status } = spawnSync(path, ['version', '--number'], {
    encoding: 'utf8',
    env: { ...process.env, IPFS_PATH: '/nonexistent' },
  });
  return status === 0 && stdout.trim().replace(/\d+$/, '0') === kuboVersion;
}
