import { CID } from 'multiformats/cid';
import * as raw from 'multiformats/codecs/raw';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';
import { raceSignal } from '../../runtime/abort.ts';
import { type CallOptions, ConnectorError } from '../connector.ts';
import { LOCAL_READS_MAX, WALK_BLOCKS_MAX } from '../constants.ts';
import { DigestSet } from '../dag/digest-set.ts';
import { walkDag } from '../dag/walk.ts';
import { Protections } from '../protections.ts';
import type { BlockStore } from './block-store.ts';
import type { PinRecords } from './pin-records.ts';

export interface CollectorNeeds {
  blocks: Pick<BlockStore, 'get' | 'has' | 'remove' | 'list'>;
  records: Pick<PinRecords, 'list'>;
}

/**
 * Mark and sweep beside running pins and adds. A block goes only if, at the very moment, it is none of:
 *
 *   - part of a DAG that a record holds (marked by walking it; 16 bytes a block, see DigestSet);
 *   - visited by a pin that is under way, or was while the collection ran;
 *   - stored by `putBlocks` since the collection began;
 *   - and nothing is protected: then the sweep waits.
 *
 * Pins need not stop for it, and it need not wait for a moment without pins, which a busy node never has.
 */
export class Collector {
  readonly #needs: CollectorNeeds;
  readonly #walks = new Set<DigestSet>();
  readonly #protections = new Protections(() => {
    if (this.#protections.count === 0) this.#released?.resolve();
  });
  #released: PromiseWithResolvers<void> | undefined;
  /** While a collection runs: what it must keep. */
  #kept: DigestSet | undefined;
  /** The set of what to keep is full: nothing more is deleted. */
  #isFull = false;

  constructor(needs: CollectorNeeds) {
    this.#needs = needs;
  }

  protect(): { release(): void } {
    return this.#protections.protect();
  }

  /** To be called before a block is stored. */
  keep(multihash: Uint8Array): void {
    this.#note((kept) => kept.add(multihash));
  }

  /** Runs a walk that adds each block to `visited` before it looks for it; none of them is deleted from then on. */
  async whileWalking<T>(fn: (visited: DigestSet) => Promise<T>): Promise<T> {
    const visited = new DigestSet(WALK_BLOCKS_MAX);
    this.#walks.add(visited);
    try {
      return await fn(visited);
    } finally {
      this.#note((kept) => kept.addAll(visited));
      this.#walks.delete(visited);
    }
  }

  async *collect(options: CallOptions): AsyncGenerator<{ cid: Uint8Array; bytes: number }> {
    if (this.#kept !== undefined) throw new ConnectorError('FAILED', 'a garbage collection is already running');
    const kept = new DigestSet(WALK_BLOCKS_MAX);
    this.#kept = kept;
    this.#isFull = false;
    try {
      await this.#mark(kept, options);
      yield* this.#sweep(kept, options);
    } finally {
      this.#kept = undefined;
    }
  }

  async #mark(kept: DigestSet, options: CallOptions): Promise<void> {
    const load = async (cid: CID) => (await this.#needs.blocks.get(cid.multihash.bytes)) ?? missing(cid);
    const present = async (cid: CID) => {
      if (!(await this.#needs.blocks.has(cid.multihash.bytes))) missing(cid);
    };
    for await (const record of this.#needs.records.list()) {
      options.signal.throwIfAborted();
      const root = CID.decode(record.cid);
      if (record.mode === 'direct') this.keep(root.multihash.bytes);
      else await walkDag(root, { load, present, visited: kept, concurrency: () => LOCAL_READS_MAX, ...options });
    }
  }

  async *#sweep(kept: DigestSet, options: CallOptions): AsyncGenerator<{ cid: Uint8Array; bytes: number }> {
    const isKept = (multihash: Uint8Array) => this.#isKept(kept, multihash);
    for await (const multihash of this.#needs.blocks.list()) {
      options.signal.throwIfAborted();
      await this.#unprotected(options);
      if (this.#isFull) throw tooMany();
      if (isKept(multihash)) continue;
      const bytes = await this.#needs.blocks.remove(multihash, () => isKept(multihash));
      // The store knows no codecs: like Kubo, what goes is told as raw.
      if (bytes !== undefined) yield { cid: CID.createV1(raw.code, decodeMultihash(multihash)).bytes, bytes };
    }
  }

  #isKept(kept: DigestSet, multihash: Uint8Array): boolean {
    if (this.#protections.count > 0 || this.#isFull || kept.has(multihash)) return true;
    for (const visited of this.#walks) if (visited.has(multihash)) return true;
    return false;
  }

  async #unprotected(options: CallOptions): Promise<void> {
    while (this.#protections.count > 0) {
      this.#released = Promise.withResolvers();
      await raceSignal(this.#released.promise, options.signal);
    }
  }

  #note(into: (kept: DigestSet) => void): void {
    if (this.#kept === undefined || this.#isFull) return;
    try {
      into(this.#kept);
    } catch {
      this.#isFull = true;
    }
  }
}

/** Its children cannot be told any more: deleting would take from the pin what it still has. */
function missing(cid: CID): never {
  throw new ConnectorError('FAILED', `nothing was collected: a pinned block is missing: ${cid}; recover its pin first`);
}

function tooMany(): ConnectorError {
  return new ConnectorError('FAILED', `more than ${WALK_BLOCKS_MAX} blocks to keep: the collection was ended`);
}
