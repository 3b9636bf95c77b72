import { invalidField, type PinfoldError } from '../model/errors.ts';
import { ADD_DEPTH_MAX, ADD_ENTRIES_MAX, ADD_NAME_BYTES_MAX, ADD_PATH_BYTES_MAX } from './constants.ts';

type Kind = 'file' | 'directory' | 'implied directory';

/** Checks the paths of one add, each by itself and against those before it. */
export class EntryPaths {
  readonly #kinds = new Map<string, Kind>();

  /** Throws INVALID_ARGUMENT naming the field `path`. */
  add(path: string, isFile: boolean): void {
    const names = namesOf(path);
    if (this.#kinds.size + names.length > ADD_ENTRIES_MAX) {
      throw invalidField('entries', `more than ${ADD_ENTRIES_MAX} in one add`);
    }
    for (let depth = 1; depth < names.length; depth++) this.#implyDirectory(path, names.slice(0, depth).join('/'));
    const before = this.#kinds.get(path);
    if (before === 'implied directory' && !isFile) {
      throw bad(path, 'a directory must come before what is in it');
    }
    if (before !== undefined) throw bad(path, 'is there twice');
    this.#kinds.set(path, isFile ? 'file' : 'directory');
  }

  #implyDirectory(path: string, directory: string): void {
    const before = this.#kinds.get(directory);
    if (before === 'file') throw bad(path, `lies in "${directory}", which is a file`);
    if (before === undefined) this.#kinds.set(directory, 'implied directory');
  }
}

/** The names of a relative path with `/` between them. Throws INVALID_ARGUMENT for what does not name a place below the root. */
function namesOf(path: string): string[] {
  if (path === '') throw bad(path, 'is empty');
  if (path.startsWith('/')) throw bad(path, 'is absolute');
  if (!path.isWellFormed()) throw bad(path, 'is not well-formed Unicode');
  if (Buffer.byteLength(path) > ADD_PATH_BYTES_MAX) throw bad(path, `has more than ${ADD_PATH_BYTES_MAX} bytes`);
  const names = path.split('/');
  if (names.length > ADD_DEPTH_MAX) throw bad(path, `is deeper than ${ADD_DEPTH_MAX}`);
  for (const name of names) checkName(path, name);
  return names;
}

function checkName(path: string, name: string): void {
  if (name === '') throw bad(path, 'has an empty name in it');
  if (name === '.' || name === '..') throw bad(path, `has "${name}" in it`);
  if (name.includes('\0')) throw bad(path, 'has a NUL in it');
  // ipfs-unixfs-importer takes "\/" for a slash that belongs to the name.
  if (name.endsWith('\\')) throw bad(path, 'has a name that ends with a backslash');
  if (Buffer.byteLength(name) > ADD_NAME_BYTES_MAX)
    throw bad(path, `has a name of more than ${ADD_NAME_BYTES_MAX} bytes`);
}

function bad(path: string, problem: string): PinfoldError {
  const shown = path.length > 80 ? `${path.slice(0, 80)}...` : path;
  return invalidField('path', `"${shown}" ${problem}`);
}
