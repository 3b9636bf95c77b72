import { CID } from 'multiformats/cid';
import { identity } from 'multiformats/hashes/identity';
import type { MultihashHasher } from 'multiformats/hashes/interface';
import { DAG_PB, type RAW } from '../../ipfs/dag/links.ts';

export interface BlockForm {
  cidVersion: 0 | 1;
  /** Synchronous. */
  hasher: MultihashHasher;
  /** Blocks of at most so many bytes become part of their CIDs. 0: none. */
  inlineLimit: number;
}

/** Takes the blocks that are made; resolves when there is room for further ones. */
export type PutBlock = (cid: CID, bytes: Uint8Array) => Promise<void>;

/** Gives blocks their CIDs, and hands them on. */
export class BlockMaker {
  readonly #form: BlockForm;
  readonly #put: PutBlock;

  constructor(form: BlockForm, put: PutBlock) {
    this.#form = form;
    this.#put = put;
  }

  async put(codec: typeof RAW | typeof DAG_PB, bytes: Uint8Array): Promise<CID> {
    const { cidVersion, hasher, inlineLimit } = this.#form;
    if (inlineLimit > 0 && bytes.length <= inlineLimit) return CID.createV1(codec, identity.digest(bytes));
    const digest = hasher.digest(bytes);
    if (digest instanceof Promise) throw new TypeError('hash functions must be synchronous');
    // Version 0 is for dag-pb alone.
    const cid = CID.create(codec === DAG_PB ? cidVersion : 1, codec, digest);
    await this.#put(cid, bytes);
    return cid;
  }
}
