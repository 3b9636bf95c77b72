import type { CID } from 'multiformats/cid';
import type { LoadBlock } from '../../ipfs/dag/resolve-path.ts';
import { byteString } from '../../model/bytes.ts';
import { BLOCK_BYTES_USUAL, BLOCKS_KEPT_MAX, READ_AHEAD_BLOCKS_MAX, READ_AHEAD_BYTES_MAX } from './constants.ts';

/** Reads blocks before their turn, as who walks a DAG knows what comes next. What it keeps is bounded, however large the DAG. */
export class ReadAhead {
  readonly #load: LoadBlock;
  /** By CID; the oldest first. */
  readonly #kept = new Map<string, Promise<Uint8Array>>();
  #largest = BLOCK_BYTES_USUAL;

  constructor(load: LoadBlock) {
    this.#load = load;
  }

  /** This block, whose turn it is. `upcoming` are the next ones, as far as they are known; not all of them may be taken. */
  async next(cid: CID, upcoming: Iterable<CID>): Promise<Uint8Array> {
    const key = byteString(cid.bytes);
    const loading = this.#kept.get(key) ?? this.#begin(cid);
    this.#kept.delete(key);
    this.#prepare(upcoming);
    return await loading;
  }

  #prepare(upcoming: Iterable<CID>): void {
    const wanted = new Map<string, CID>();
    for (const cid of upcoming) {
      wanted.set(byteString(cid.bytes), cid);
      if (wanted.size === READ_AHEAD_BLOCKS_MAX) break;
    }
    for (const [key, cid] of wanted) {
      if (this.#kept.has(key)) continue;
      if (!this.#makeRoom(wanted)) return;
      this.#kept.set(key, this.#begin(cid));
    }
  }

  #makeRoom(wanted: ReadonlyMap<string, CID>): boolean {
    const max = Math.min(BLOCKS_KEPT_MAX, Math.floor(READ_AHEAD_BYTES_MAX / this.#largest));
    for (const key of this.#kept.keys()) {
      if (this.#kept.size < max) break;
      if (!wanted.has(key)) this.#kept.delete(key);
    }
    return this.#kept.size < max;
  }

  #begin(cid: CID): Promise<Uint8Array> {
    const loading = this.#load(cid).then((bytes) => {
      this.#largest = Math.max(this.#largest, bytes.length);
      return bytes;
    });
    // Told when its turn comes.
    loading.catch(() => {});
    return loading;
  }
}
