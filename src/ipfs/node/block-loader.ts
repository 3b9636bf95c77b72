import type { CID } from 'multiformats/cid';
import type { CallOptions } from '../connector.ts';
import { BLOCK_BYTES_MAX } from '../constants.ts';
import { checkBlock, IDENTITY_CODE } from '../dag/hashers.ts';
import type { BlockStore } from './block-store.ts';
import type { Exchange } from './exchange.ts';

/** Blocks from this disk, or else from other nodes. */
export class BlockLoader {
  readonly #blocks: BlockStore;
  readonly #exchange: Exchange;

  constructor({ blocks, exchange }: { blocks: BlockStore; exchange: Exchange }) {
    this.#blocks = blocks;
    this.#exchange = exchange;
  }

  async has(cid: CID): Promise<boolean> {
    return cid.multihash.code === IDENTITY_CODE || (await this.#blocks.has(cid.multihash.bytes));
  }

  /** From this disk. A block that it has spoilt is thrown away, or its links would lead astray. */
  async local(cid: CID): Promise<Uint8Array | undefined> {
    if (cid.multihash.code === IDENTITY_CODE) return cid.multihash.digest;
    const bytes = await this.#blocks.get(cid.multihash.bytes);
    if (bytes === undefined || isIntact(cid, bytes)) return bytes;
    await this.#blocks.remove(cid.multihash.bytes, () => false);
    return undefined;
  }

  /** From others, and onto this disk. Waits for ever if need be; rejects by abort. */
  async fetch(cid: CID, options: CallOptions): Promise<Uint8Array> {
    const bytes = await this.#exchange.want(cid, options);
    await this.#blocks.put(cid.multihash.bytes, bytes);
    this.#exchange.have(cid, bytes);
    return bytes;
  }
}

function isIntact(cid: CID, bytes: Uint8Array): boolean {
  if (bytes.length > BLOCK_BYTES_MAX) return false;
  try {
    checkBlock(cid, bytes);
    return true;
  } catch {
    return false;
  }
}
