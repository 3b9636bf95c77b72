import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readBoundedText, replaceFile, syncFolder } from '../config/files.ts';
import type { FolderPaths } from '../config/folder.ts';
import { configInvalid } from '../config/problem.ts';

const markerBytesMax = 4096;

/**
 * Leaving a store (`store rejoin`): a file says to where it is to be moved; the next start moves it, before it opens it, and then removes
 * the file. The name is settled with the file, so a start that is killed anywhere is ended by the next, and a store is moved once.
 * Returns where it will lie.
 */
export async function markStoreLeft(
  { store, leftStore }: Pick<FolderPaths, 'store' | 'leftStore'>,
  nowMs: number,
): Promise<string> {
  const time = new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const aside = `${store}.${time}`;
  await replaceFile(leftStore, `${JSON.stringify({ moveTo: basename(aside) })}\n`, 0o600);
  return aside;
}

/** At a start, before the store is opened. The folder it was moved to; undefined: it was not to be left. */
export async function setStoreAside({
  store,
  leftStore,
}: Pick<FolderPaths, 'store' | 'leftStore'>): Promise<string | undefined> {
  const text = await readBoundedText(leftStore, markerBytesMax);
  if (text === undefined) return undefined;
  const aside = join(dirname(store), moveTo(text, leftStore));
  if (!(await exists(aside))) {
    if (await exists(store)) await rename(store, aside);
    else await mkdir(aside, { mode: 0o700 }); // There was none: the next start must not take the new one for it.
    await syncFolder(dirname(store));
  }
  await rm(leftStore, { force: true });
  await syncFolder(dirname(store));
  return aside;
}

function moveTo(text: string, at: string): string {
  try {
    const { moveTo: name } = JSON.parse(text);
    if (typeof name === 'string' && /^store\.[0-9TZ]+$/.test(name)) return name;
  } catch {
    // The same as one that says something else.
  }
  throw configInvalid([
    { at, problem: 'does not say where the store is to be moved; remove the file to keep the store' },
  ]);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}
