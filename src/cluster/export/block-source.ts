import type { CID } from 'multiformats/cid';

/** Who may have blocks: the own IPFS node, or another peer. */
export interface BlockSource {
  /** For people. */
  readonly name: string;
  /** Undefined: it is not there. Rejects when that cannot be known, or when the export has ended. Bytes are as they came, not checked. */
  get(cid: CID): Promise<Uint8Array | undefined>;
  /** How often it failed since its last answer. */
  readonly failures: number;
}
