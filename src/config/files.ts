import { link, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemRandom } from '../runtime/random.ts';
import { configInvalid } from './problem.ts';

/** The whole file as text, or undefined when there is none. One that is larger is refused before it fills the memory. */
export async function readBoundedText(path: string, bytesMax: number): Promise<string | undefined> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw configInvalid([{ at: path, problem: `cannot be read (${error.code})` }], error);
  });
  if (handle === undefined) return undefined;
  try {
    // Read, not asked for its size: it may be a pipe (`--secret-file <(...)`).
    const buffer = new Uint8Array(bytesMax + 1);
    let length = 0;
    while (length <= bytesMax) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > bytesMax) throw configInvalid([{ at: path, problem: `is larger than ${bytesMax} bytes` }]);
    return decodeUtf8(path, buffer.subarray(0, length));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EISDIR') throw configInvalid([{ at: path, problem: 'is a folder' }], error);
    throw error;
  } finally {
    await handle.close();
  }
}

function decodeUtf8(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw configInvalid([{ at: path, problem: 'is not UTF-8 text' }], error);
  }
}

/** Who besides its owner can read the file, as a sentence for the operator. */
export async function exposureOf(path: string): Promise<string | undefined> {
  const handle = await open(path, 'r');
  try {
    const { mode } = await handle.stat();
    if ((mode & 0o077) === 0) return undefined;
    return `${path} can be read or changed by others on this machine: chmod 600 ${path}`;
  } finally {
    await handle.close();
  }
}

/** A new file, whole or not at all, and on the disk when this resolves. False when there already is one: it stays as it is. */
export async function createFile(path: string, text: string, mode: number): Promise<boolean> {
  const temporary = await writeTemporary(path, text, mode);
  try {
    await link(temporary, path);
    await syncFolder(dirname(path));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** As `createFile`, taking the place of what is there. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const temporary = await writeTemporary(path, text, mode);
  try {
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } finally {
    await rm(temporary, { force: true });
  }
}

async function writeTemporary(path: string, text: string, mode: number): Promise<string> {
  const temporary = `${path}.${Buffer.from(systemRandom.bytes(6)).toString('hex')}.tmp`;
  const handle = await open(temporary, 'wx', mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return temporary;
}

/** What was made, renamed or removed in it is so after a loss of power, too. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(join(folder, '.'), 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
