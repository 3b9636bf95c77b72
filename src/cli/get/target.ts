import { chmod, lstat, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { CliError } from '../cli-error.ts';

/** Where something is to be when all of it is there. Until then it grows in a folder beside. */
export interface Target {
  readonly path: string;
  /** Where it grows. */
  readonly growing: string;
  /** All is there. */
  settle(): Promise<void>;
  /** Takes away what is not settled. */
  clean(): Promise<void>;
}

/** Refuses to overwrite. */
export async function openTarget(path: string): Promise<Target> {
  await refuseExisting(path);
  const folder = await mkdtemp(join(dirname(resolve(path)), '.pinfold-get-')).catch((cause) => {
    throw cannotWrite(path, cause);
  });
  const growing = join(folder, 'content');
  return {
    path,
    growing,
    async settle() {
      await refuseExisting(path);
      await rename(growing, path).catch((cause) => {
        throw cannotWrite(path, cause);
      });
    },
    async clean() {
      await makeRemovable(folder);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function cannotWrite(path: string, cause: unknown): CliError {
  return new CliError(`cannot write ${path}: ${(cause as Error).message}`, 'CANNOT_WRITE');
}

async function refuseExisting(path: string): Promise<void> {
  const found = await lstat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw cannotWrite(path, cause);
  });
  if (found !== undefined) {
    throw new CliError(`${path} is there already; nothing was written (-o names another place)`, 'EXISTS');
  }
}

/** What is in a folder that must not be written cannot be removed either. */
async function makeRemovable(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeRemovable(join(folder, entry.name));
  }
}
