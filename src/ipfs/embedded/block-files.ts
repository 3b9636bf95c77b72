import {
  type FileHandle,
  mkdir,
  open,
  opendir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  unlink,
} from 'node:fs/promises';
import { join } from 'node:path';
import { base32upper } from 'multiformats/bases/base32';
import { ConnectorError } from '../connector.ts';
import { FREE_BYTES_MIN, LANDING_BLOCKS_MAX, LANDING_BYTES_MAX, LANDING_FILES_OPEN_MAX } from '../constants.ts';
import { forEachLimited } from '../for-each-limited.ts';
import type { BlockStore } from '../node/block-store.ts';

interface Landing {
  name: string;
  bytes: Uint8Array;
  landed: Promise<void>;
  settle: { resolve: () => void; reject: (cause: unknown) => void };
}

const EXTENSION = '.data';
const TEMPORARY = 'tmp';

/**
 * Blocks as files, one each, named by their multihash, in the layout of `blockstore-fs` (a folder for each last two letters), but
 * durable, which that is not: when `put` resolves, a power cut does not lose the block, and no file with a
 * block's name is ever half a block. Blocks that come in together share their flushes:
 *
 *   1. each is written to `tmp/`, flushed and closed;
 *   2. each is renamed to its place;
 *   3. each folder touched is flushed, once.
 *
 * What a crash leaves in `tmp/` is removed at the start, and all folders are flushed then: a rename that an earlier
 * process made without step 3 becomes durable before anyone relies on it.
 */
export class BlockFiles implements BlockStore {
  readonly #folder: string;
  readonly #queue: Landing[] = [];
  /** By name: what is not yet on the disk, also while it is being written. */
  readonly #landing = new Map<string, Landing>();
  readonly #deleting = new Map<string, Promise<void>>();
  #pump: Promise<void> | undefined;
  #serial = 0;
  readonly #usage = { bytes: 0, counted: new Set<string>(), stopped: false, scan: Promise.resolve() };

  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    await rm(join(this.#folder, TEMPORARY), { recursive: true, force: true });
    await mkdir(join(this.#folder, TEMPORARY));
    const shards = await this.#shards();
    await forEachLimited(shards, LANDING_FILES_OPEN_MAX, (shard) => flushFolder(join(this.#folder, shard)));
    await flushFolder(this.#folder);
    this.#usage.scan = this.#countUsage(shards);
  }

  async close(): Promise<void> {
    this.#usage.stopped = true;
    await this.#usage.scan;
    await this.#pump;
  }

  /**
   * Bytes of all blocks. Counted in the background after `open` and kept current from then on: too low until the count
   * is through, and off by what is written into a folder in the moment when that is counted.
   */
  get usedBytes(): number {
    return this.#usage.bytes;
  }

  async put(multihash: Uint8Array, bytes: Uint8Array): Promise<void> {
    const name = nameOf(multihash);
    while (this.#deleting.has(name)) await this.#deleting.get(name);
    const underWay = this.#landing.get(name);
    if (underWay !== undefined) return underWay.landed;
    const landing = newLanding(name, bytes);
    this.#landing.set(name, landing);
    this.#queue.push(landing);
    this.#pump ??= this.#land().finally(() => {
      this.#pump = undefined;
    });
    return landing.landed;
  }

  async has(multihash: Uint8Array): Promise<boolean> {
    const name = nameOf(multihash);
    while (this.#deleting.has(name)) await this.#deleting.get(name);
    if (this.#landing.has(name)) return true;
    return exists(this.#pathOf(name));
  }

  async get(multihash: Uint8Array): Promise<Uint8Array | undefined> {
    const name = nameOf(multihash);
    while (this.#deleting.has(name)) await this.#deleting.get(name);
    const underWay = this.#landing.get(name);
    if (underWay !== undefined) return underWay.bytes;
    const found = await readFile(this.#pathOf(name)).catch(unlessMissing(undefined));
    return found && new Uint8Array(found.buffer, found.byteOffset, found.length);
  }

  async settled(): Promise<void> {
    await Promise.all([...this.#landing.values()].map((landing) => landing.landed));
  }

  async remove(multihash: Uint8Array, keep: () => boolean): Promise<number | undefined> {
    const name = nameOf(multihash);
    const path = this.#pathOf(name);
    const found = await stat(path).catch(unlessMissing(undefined));
    if (found === undefined || this.#landing.has(name) || keep()) return undefined;
    const gone = unlink(path).catch(unlessMissing(undefined));
    const over = gone.catch(() => {}).finally(() => this.#deleting.delete(name));
    this.#deleting.set(name, over);
    await gone;
    this.#use(name, -found.size);
    return found.size;
  }

  /** One folder's names in memory at a time. */
  async *list(): AsyncGenerator<Uint8Array> {
    for (const shard of await this.#shards()) {
      for (const file of await readdir(join(this.#folder, shard))) {
        const multihash = multihashOf(file);
        if (multihash !== undefined) yield multihash;
      }
    }
  }

  async freeBytes(): Promise<number> {
    const space = await statfs(this.#folder);
    return space.bavail * space.bsize;
  }

  async #land(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = takeBatch(this.#queue);
      const failures = new Map<Landing, unknown>();
      try {
        await this.#landBatch(batch, failures);
      } catch (cause) {
        for (const landing of batch) failures.set(landing, cause);
      }
      for (const landing of batch) {
        this.#landing.delete(landing.name);
        if (failures.has(landing)) landing.settle.reject(storeError(failures.get(landing)));
        else landing.settle.resolve();
      }
    }
  }

  async #landBatch(batch: readonly Landing[], failures: Map<Landing, unknown>): Promise<void> {
    if ((await this.freeBytes()) < FREE_BYTES_MIN) {
      throw new ConnectorError('DISK_FULL', `fewer than ${FREE_BYTES_MIN} bytes are free on the device`);
    }
    const shards = new Set<string>();
    await forEachLimited(batch, LANDING_FILES_OPEN_MAX, async (landing) => {
      try {
        shards.add(await this.#landFile(landing));
      } catch (cause) {
        failures.set(landing, cause);
      }
    });
    await forEachLimited([...shards], LANDING_FILES_OPEN_MAX, flushFolder);
  }

  /** Steps 1 and 2; resolves with the folder that step 3 is due for. */
  async #landFile(landing: Landing): Promise<string> {
    const shard = join(this.#folder, shardOf(landing.name));
    const path = this.#pathOf(landing.name);
    if (await exists(path)) return shard;
    const temporary = join(this.#folder, TEMPORARY, String(this.#serial++));
    try {
      await writeFlushed(temporary, landing.bytes);
      await rename(temporary, path).catch(async (cause) => {
        if (!isMissing(cause)) throw cause;
        await mkdir(shard, { recursive: true });
        this.#usage.counted.add(shardOf(landing.name));
        await flushFolder(this.#folder);
        await rename(temporary, path);
      });
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => {});
      throw cause;
    }
    this.#use(landing.name, landing.bytes.length);
    return shard;
  }

  async #countUsage(shards: readonly string[]): Promise<void> {
    const counted = this.#usage.counted;
    for (const shard of shards) {
      if (this.#usage.stopped) return;
      const files = await readdir(join(this.#folder, shard)).catch(() => []);
      counted.add(shard);
      await forEachLimited(files, LANDING_FILES_OPEN_MAX, async (file) => {
        const found = await stat(join(this.#folder, shard, file)).catch(() => undefined);
        this.#usage.bytes += found?.size ?? 0;
      });
    }
  }

  #use(name: string, bytes: number): void {
    if (this.#usage.counted.has(shardOf(name))) this.#usage.bytes += bytes;
  }

  async #shards(): Promise<string[]> {
    const shards: string[] = [];
    for await (const entry of await opendir(this.#folder)) {
      if (entry.isDirectory() && entry.name !== TEMPORARY) shards.push(entry.name);
    }
    return shards;
  }

  #pathOf(name: string): string {
    return join(this.#folder, shardOf(name), name);
  }
}

function newLanding(name: string, bytes: Uint8Array): Landing {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // Whoever waits for it hears of it; nobody has to.
  promise.catch(() => {});
  return { name, bytes, landed: promise, settle: { resolve, reject } };
}

function takeBatch(queue: Landing[]): Landing[] {
  let bytes = 0;
  let length = 0;
  while (length < queue.length && length < LANDING_BLOCKS_MAX && bytes < LANDING_BYTES_MAX) {
    bytes += (queue[length++] as Landing).bytes.length;
  }
  return queue.splice(0, length);
}

async function writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
  await withHandle(path, 'wx', async (handle) => {
    await handle.writeFile(bytes);
    await handle.sync();
  });
}

async function flushFolder(path: string): Promise<void> {
  await withHandle(path, 'r', (handle) => handle.sync());
}

async function withHandle(path: string, flags: string, use: (handle: FileHandle) => Promise<void>): Promise<void> {
  const handle = await open(path, flags, 0o600);
  try {
    await use(handle);
  } finally {
    await handle.close();
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, unlessMissing(false));
}

function unlessMissing<T>(value: T): (cause: unknown) => T {
  return (cause) => {
    if (isMissing(cause)) return value;
    throw storeError(cause);
  };
}

function isMissing(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException).code === 'ENOENT';
}

const fullCodes: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'MDB_MAP_FULL']);

export function storeError(cause: unknown): ConnectorError {
  if (cause instanceof ConnectorError) return cause;
  const failure = cause as NodeJS.ErrnoException;
  const kind = fullCodes.has(failure.code) ? 'DISK_FULL' : 'FAILED';
  return new ConnectorError(kind, `the block store cannot be used: ${failure.message}`, { cause });
}

/** Base32 in upper case: also right on file systems that do not tell cases apart. */
function nameOf(multihash: Uint8Array): string {
  return `${base32upper.encode(multihash)}${EXTENSION}`;
}

function shardOf(name: string): string {
  return name.slice(-EXTENSION.length - 2, -EXTENSION.length);
}

function multihashOf(file: string): Uint8Array | undefined {
  if (!file.endsWith(EXTENSION)) return undefined;
  try {
    return base32upper.decode(file.slice(0, -EXTENSION.length));
  } catch {
    return undefined;
  }
}
