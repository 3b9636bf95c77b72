import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readSync, statSync } from 'node:fs';
import { open } from 'lmdb';
import { PinfoldError } from '../../model/errors.ts';
import { HEADER_BYTES, READERS_MAX } from './constants.ts';
import { type NativeRoot, nativeRoot } from './native.ts';

/** `Page header`, then `MDB_meta`, of LMDB's data format 2 on a 64-bit machine (`mdb.c` of lmdb-js). */
const META = 24;
const MAGIC = 0xbeefc0de;
const PAGE_SIZE_AT = META + 24;
const LAST_PAGE_AT = META + 24 + 2 * 48;

const PAGE_SIZES = [4096, 8192, 16_384, 32_768, 65_536];

export interface OpenedFile {
  readonly root: NativeRoot;
  /** Bytes that the file had when fewer than its header says: rightly so when only free pages are missing. */
  readonly shortBytes: number | undefined;
}

/** Opens or creates the file. Throws DATA_CORRUPT for what is not one of ours or cannot be read. */
export function openFile(path: string, mapBytes: number, tables: number): OpenedFile {
  const size = existsSync(path) ? statSync(path).size : 0;
  const shortBytes = size > 0 ? lengthen(path, mapBytes) : undefined;
  try {
    const root = open({
      path,
      // `path` is the file, not a folder.
      noSubdir: true,
      name: null as unknown as string,
      encoding: 'binary',
      keyEncoding: 'binary',
      mapSize: Math.max(mapBytes, size * 2),
      maxDbs: tables + 1,
      maxReaders: READERS_MAX,
      // The commit of one transaction goes on while the one before it is being flushed, and a crash of the machine
      // falls back to the last one flushed: LMDB keeps its pages until then. A crash of the process loses nothing.
      // `noSync` would lose the guarantee; `noMetaSync` would let "flushed" be told before the meta page is on the disk.
      overlappingSync: true,
      noSync: false,
      noMetaSync: false,
    });
    return { root: nativeRoot(root), shortBytes };
  } catch (cause) {
    throw openFailed(path, cause);
  }
}

function openFailed(path: string, cause: unknown): PinfoldError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = (cause as { code?: unknown }).code;
  const foreign = typeof code === 'number' ? code < 0 : /MDB_(INVALID|CORRUPTED|VERSION|PAGE|PANIC)/.test(message);
  if (foreign) return damaged(path, message, cause);
  return new PinfoldError('STORAGE_FAILED', `cannot open the store ${path}: ${message}`, { cause });
}

export function damaged(path: string, what: string, cause?: unknown): PinfoldError {
  return new PinfoldError(
    'DATA_CORRUPT',
    `${path} is damaged or not a store of Pinfold (${what}). Move it away and restore a backup, or let this peer ` +
      'join again with an empty folder: it takes the pinset from the other peers',
    { cause, facts: { path } },
  );
}

/** What to throw for an error that LMDB reports when reading: almost always damage. */
export function readFailed(path: string, cause: unknown): PinfoldError {
  return damaged(path, cause instanceof Error ? cause.message : String(cause), cause);
}

/**
 * Looks at the header before LMDB does, as reading a page of the map that the file does not have ends the process with
 * SIGBUS. Such pages are made readable, as zeros, which LMDB reports as damage when it meets them; in a good store it
 * does not, as the pages that a file may rightly lack at its end are free ones. The length before, if it was changed.
 */
function lengthen(path: string, mapBytes: number): number | undefined {
  const file = openSync(path, 'r+');
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    const { size } = fstatSync(file);
    if (readSync(file, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) throw damaged(path, 'it is shorter than a header');
    if (header.readUInt32LE(META) !== MAGIC) throw damaged(path, 'its header is another');
    const pageSize = header.readUInt32LE(PAGE_SIZE_AT);
    if (!PAGE_SIZES.includes(pageSize)) throw damaged(path, `its page size is ${pageSize}`);
    const bytes = (lastPage(file, pageSize) + 1) * pageSize;
    if (size >= bytes) return undefined;
    if (bytes > mapBytes) throw damaged(path, `its header speaks of ${bytes} bytes, the file has ${size}`);
    ftruncateSync(file, bytes);
    return size;
  } finally {
    closeSync(file);
  }
}

/** The highest page number that the headers speak of: two in turns, and between them that of the last flush. */
function lastPage(file: number, pageSize: number): number {
  let last = 0n;
  const header = Buffer.alloc(LAST_PAGE_AT + 8);
  for (const at of [0, pageSize / 2, pageSize]) {
    if (readSync(file, header, 0, header.length, at) < header.length) continue;
    if (header.readUInt32LE(PAGE_SIZE_AT) !== pageSize) continue;
    const page = header.readBigUInt64LE(LAST_PAGE_AT);
    if (page > last) last = page;
  }
  return Number(last);
}
