import type { BigIntStats } from 'node:fs';
import { lstat, opendir, readdir, readlink, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CliError, usageError } from './cli-error.ts';

/** Something to be added, and where it lies. */
export interface LocalEntry {
  /** In what is added, `/` between names. */
  path: string;
  kind: 'file' | 'directory' | 'symlink' | 'stdin';
  /** On this machine; of `stdin`: ''. */
  file: string;
  /** What a symbolic link leads to. */
  target?: string;
  /** Undefined for standard input. */
  stats?: BigIntStats;
}

export interface WalkOptions {
  /** Also what begins with a dot, below the paths that were named. */
  hidden: boolean;
  /** Follow symbolic links, which are kept as links otherwise. */
  dereference: boolean;
  emptyDirectories: boolean;
}

/** All that lies below these paths, each directory before what is in it, by name; `-` is standard input. In the memory of one directory. */
export async function* localEntries(paths: readonly string[], options: WalkOptions): AsyncGenerator<LocalEntry> {
  if (paths.filter((path) => path === '-').length > 1)
    throw usageError('- stands for standard input, which can be read once');
  for (const path of paths) {
    if (path === '-') yield { path: 'stdin', kind: 'stdin', file: '' };
    else yield* below(path, basename(join(process.cwd(), path)), options, new Set());
  }
}

async function* below(
  file: string,
  path: string,
  options: WalkOptions,
  above: ReadonlySet<string>,
): AsyncGenerator<LocalEntry> {
  const stats = await statsOf(file, options.dereference);
  const entry = { path, file, stats };
  if (stats.isFile()) yield { ...entry, kind: 'file' };
  else if (stats.isSymbolicLink()) yield { ...entry, kind: 'symlink', target: await reading(file, readlink(file)) };
  else if (stats.isDirectory()) {
    const identity = `${stats.dev}:${stats.ino}`;
    if (above.has(identity)) throw new CliError(`${file} leads back into itself`, 'CANNOT_READ');
    // What was named is added, also when it is empty.
    if (above.size === 0 || options.emptyDirectories || !(await isEmpty(file))) yield { ...entry, kind: 'directory' };
    for (const name of (await reading(file, readdir(file))).sort()) {
      if (!options.hidden && name.startsWith('.')) continue;
      yield* below(join(file, name), `${path}/${name}`, options, new Set([...above, identity]));
    }
  } else throw usageError(`${file} is neither a file, a directory nor a symbolic link: it cannot be added`);
}

async function isEmpty(folder: string): Promise<boolean> {
  const directory = await reading(folder, opendir(folder));
  try {
    return (await directory.read()) === null;
  } finally {
    await directory.close();
  }
}

function statsOf(file: string, dereference: boolean): Promise<BigIntStats> {
  return reading(file, dereference ? stat(file, { bigint: true }) : lstat(file, { bigint: true }));
}

async function reading<T>(file: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw new CliError(`cannot read ${file}: ${(cause as Error).message}`, 'CANNOT_READ');
  }
}
