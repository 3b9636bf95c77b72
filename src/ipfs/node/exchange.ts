import type { CID } from 'multiformats/cid';
import type { CallOptions, IpfsNodeId } from '../connector.ts';

/** How a node in the process gets blocks from other nodes and gives them its own. */
export interface Exchange {
  id(): IpfsNodeId;
  /** Dials what can be dialled; resolves when all was tried. Rejects only by abort. */
  connect(addresses: readonly string[], options: CallOptions): Promise<void>;
  /** Waits until a connected node sends the block, for ever if need be; checked against its CID. Rejects by abort. */
  want(cid: CID, options: CallOptions): Promise<Uint8Array>;
  /** Asks again for everything that is wanted. */
  reask(): void;
  /** The block has come into the store: whoever asked for it, here or elsewhere, gets it. */
  have(cid: CID, bytes: Uint8Array): void;
  start(): Promise<void>;
  stop(): Promise<void>;
}
