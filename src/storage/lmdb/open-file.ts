import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { open } from 'lmdb';
import { isPinfoldError, PinfoldError } from '../../model/errors.ts';
import { HEADER_BYTES, MAP_BYTES_MAX, READERS_MAX } from './constants.ts';
import { type NativeRoot, nativeRoot } from './native.ts';

/** `Page header`, then `MDB_meta`, of LMDB's data format 2 on a 64-bit machine (`mdb.c` of lmdb-js). */
const FLAGS_AT = 18;
const FLAG_META = 8;
const META = 24;
const MAGIC = 0xbeefc0de;
const VERSION_AT = META + 4;
const DATA_VERSION = 2;
const ADDRESS_AT = META + 8;
const PAGE_SIZE_AT = META + 24;
/** Of the table of free pages; it carries some of the environment's options too (`mm_flags`). */
const TABLE_FLAGS_AT = PAGE_SIZE_AT + 4;
const INTEGER_KEYS = 0x8;
/** overlappingSync, noSubdir, safeRestore, trackMetrics. */
const ENV_FLAGS = 0x1000 | 0x4000 | 0x800 | 0x400;
const LAST_PAGE_AT = META + 24 + 2 * 48;

const PAGE_SIZES = [4096, 8192, 16_384, 32_768, 65_536];

export interface OpenedFile {
  readonly root: NativeRoot;
  /** Bytes that the file had when fewer than its header says: rightly so when only free pages are missing. */
  readonly shortBytes: number | undefined;
}

/**
 * Opens or creates the file. Throws DATA_CORRUPT for what is not one of ours or cannot be read, STORAGE_FAILED when the
 * system refuses.
 *
 * lmdb-js 3.5.6 ends the process with a segmentation fault when LMDB refuses to open (`EnvWrap::openEnv` frees what
 * `closeEnv` then uses): whatever we can foresee has to be found before we ask.
 */
export function openFile(path: string, mapBytes: number, tables: number): OpenedFile {
  if (!(mapBytes > 0 && mapBytes <= MAP_BYTES_MAX)) throw new RangeError(`mapBytes: ${mapBytes}`);
  try {
    const size = writableSize(path);
    writableSize(`${path}-lock`);
    const shortBytes = size > 0 ? lengthen(path, mapBytes) : undefined;
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

/** Creates it when it is not there: an empty file is a new one to LMDB. */
function writableSize(path: string): number {
  const file = openSync(path, 'a+');
  try {
    return fstatSync(file).size;
  } finally {
    closeSync(file);
  }
}

function openFailed(path: string, cause: unknown): PinfoldError {
  if (isPinfoldError(cause)) return cause;
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
    if (header.readUInt16LE(FLAGS_AT) !== FLAG_META || header.readUInt32LE(META) !== MAGIC) {
      throw damaged(path, 'its header is another');
    }
    const version = header.readUInt16LE(VERSION_AT);
    if (version !== DATA_VERSION) throw damaged(path, `its format is version ${version}`);
    if (header.readBigUInt64LE(ADDRESS_AT) !== 0n) throw damaged(path, 'its header wants a fixed address');
    const pageSize = header.readUInt32LE(PAGE_SIZE_AT);
    if (!PAGE_SIZES.includes(pageSize)) throw damaged(path, `its page size is ${pageSize}`);
    const flags = header.readUInt16LE(TABLE_FLAGS_AT);
    if ((flags & ~ENV_FLAGS) !== INTEGER_KEYS) throw damaged(path, `its flags are ${flags}`);
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
