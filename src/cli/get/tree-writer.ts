import { chmod, type FileHandle, lutimes, mkdir, open, symlink, utimes } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { ExportEntry } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { CliError } from '../cli-error.ts';
import { cannotWrite } from './target.ts';

const permissionBits = 0o777;
/** Seconds that a time of a file can have; others are left out. */
const secondsMax = 8_640_000_000_000n;

interface OpenFile {
  entry: ExportEntry;
  place: string;
  handle: FileHandle;
  bytes: bigint;
}

interface OpenDirectory {
  entry: ExportEntry;
  place: string;
}

/**
 * Writes the entries of an export, as they come, below one place where nothing is yet. It believes nothing of what it is told: an entry
 * lies directly in a directory that was made here and not left since, so that nothing is written outside, or through a symbolic link.
 */
export class TreeWriter {
  readonly #root: string;
  readonly #umask: number;
  /** From the root down to where the last entry lies. */
  readonly #directories: OpenDirectory[] = [];
  #file: OpenFile | undefined;
  #rootDirectory: ExportEntry | undefined;
  #isBegun = false;
  files = 0;
  bytes = 0;

  constructor(root: string, umask: number) {
    this.#root = root;
    this.#umask = umask;
  }

  async entry(entry: ExportEntry): Promise<void> {
    await this.#leaveFile();
    const place = await this.#placeOf(entry.path);
    try {
      await this.#make(entry, place);
    } catch (cause) {
      throw cannotWrite(place, cause);
    }
  }

  async data(bytes: Uint8Array): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw wrong('content that belongs to no file');
    file.bytes += BigInt(bytes.length);
    this.bytes += bytes.length;
    if (file.bytes > file.entry.size) throw wrong(`more content of ${shown(file.entry.path)} than it has`);
    try {
      await file.handle.writeFile(bytes);
    } catch (cause) {
      throw cannotWrite(file.place, cause);
    }
  }

  /** All has come. What is to be said of the root directory waits for `finishRoot`. */
  async end(): Promise<void> {
    await this.#leaveFile();
    if (!this.#isBegun) throw wrong('nothing');
    await this.#leaveDirectories(0);
  }

  /** When the root has its name: a directory that must not be written cannot be moved either. */
  async finishRoot(place: string): Promise<void> {
    if (this.#rootDirectory !== undefined) await this.#finishDirectory(this.#rootDirectory, place);
  }

  /** However it ended. */
  async close(): Promise<void> {
    await this.#file?.handle.close();
    this.#file = undefined;
  }

  async #make(entry: ExportEntry, place: string): Promise<void> {
    if (entry.directory) {
      await mkdir(place, { mode: 0o700 });
      this.#directories.push({ entry, place });
    } else if (entry.symlink !== undefined) {
      this.files++;
      await symlink(entry.symlink, place);
      const mtime = timeOf(entry);
      if (mtime !== undefined) await lutimes(place, mtime, mtime);
    } else {
      this.files++;
      const mode = (entry.mode ?? 0o666) & permissionBits;
      this.#file = { entry, place, handle: await open(place, 'wx', mode), bytes: 0n };
    }
  }

  /** Leaves the directories that are done with. */
  async #placeOf(path: string): Promise<string> {
    if (!this.#isBegun) {
      if (path !== '') throw wrong(`${shown(path)} before what it lies in`);
      this.#isBegun = true;
      return this.#root;
    }
    const cut = path.lastIndexOf('/');
    const name = path.slice(cut + 1);
    if (!isName(name)) throw wrong(`the name ${shown(name)}, which no file here can have`);
    const parent = cut < 0 ? '' : path.slice(0, cut);
    const depth = this.#directories.findLastIndex(({ entry }) => entry.path === parent);
    if (depth < 0) throw wrong(`${shown(path)}, which does not lie in a directory that is open`);
    await this.#leaveDirectories(depth + 1);
    return join((this.#directories[depth] as OpenDirectory).place, name);
  }

  async #leaveFile(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    if (file.bytes !== file.entry.size) throw wrong(`less content of ${shown(file.entry.path)} than it has`);
    const mtime = timeOf(file.entry);
    try {
      if (mtime !== undefined) await file.handle.utimes(mtime, mtime);
      await this.close();
    } catch (cause) {
      throw cannotWrite(file.place, cause);
    }
  }

  async #leaveDirectories(depth: number): Promise<void> {
    for (const { entry, place } of this.#directories.splice(depth).reverse()) {
      if (entry.path === '') this.#rootDirectory = entry;
      else await this.#finishDirectory(entry, place);
    }
  }

  /** When all is in it: its permissions may forbid more, and each entry changes its time. */
  async #finishDirectory(entry: ExportEntry, place: string): Promise<void> {
    try {
      await chmod(place, (entry.mode ?? 0o777) & permissionBits & ~this.#umask);
      const mtime = timeOf(entry);
      if (mtime !== undefined) await utimes(place, mtime, mtime);
    } catch (cause) {
      throw cannotWrite(place, cause);
    }
  }
}

/** Node.js takes a negative number for now, and of a date knows no more than milliseconds. */
function timeOf({ mtime }: ExportEntry): number | Date | undefined {
  if (mtime === undefined || mtime.seconds > secondsMax || mtime.seconds < -secondsMax) return undefined;
  const seconds = Number(mtime.seconds) + mtime.nanoseconds / 1e9;
  return seconds < 0 ? new Date(seconds * 1_000) : seconds;
}

function isName(name: string): boolean {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) return false;
  return sep === '/' || !/[\\:]/.test(name);
}

function wrong(what: string): CliError {
  return new CliError(`the daemon sent ${what}`, 'BAD_ANSWER');
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
