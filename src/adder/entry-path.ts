import { invalidField, type PinfoldError } from '../model/errors.ts';
import { ADD_DEPTH_MAX, ADD_NAME_BYTES_MAX, ADD_PATH_BYTES_MAX } from './constants.ts';

/** The names of a relative path with `/` between them. Throws INVALID_ARGUMENT for what does not name a place below the root. */
export function namesOf(path: string): string[] {
  if (path === '') throw badPath(path, 'is empty');
  if (path.startsWith('/')) throw badPath(path, 'is absolute');
  if (!path.isWellFormed()) throw badPath(path, 'is not well-formed Unicode');
  if (Buffer.byteLength(path) > ADD_PATH_BYTES_MAX) throw badPath(path, `has more than ${ADD_PATH_BYTES_MAX} bytes`);
  const names = path.split('/');
  if (names.length > ADD_DEPTH_MAX) throw badPath(path, `is deeper than ${ADD_DEPTH_MAX}`);
  for (const name of names) checkName(path, name);
  return names;
}

function checkName(path: string, name: string): void {
  if (name === '') throw badPath(path, 'has an empty name in it');
  if (name === '.' || name === '..') throw badPath(path, `has "${name}" in it`);
  if (name.includes('\0')) throw badPath(path, 'has a NUL in it');
  if (Buffer.byteLength(name) > ADD_NAME_BYTES_MAX)
    throw badPath(path, `has a name of more than ${ADD_NAME_BYTES_MAX} bytes`);
}

export function badPath(path: string, problem: string): PinfoldError {
  const shown = path.length > 80 ? `${path.slice(0, 80)}...` : path;
  return invalidField('path', `"${shown}" ${problem}`);
}
