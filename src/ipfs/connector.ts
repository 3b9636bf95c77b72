import type { ContentPath } from '../model/content-path.ts';

/**
 * The IPFS node beside a peer. Implementations: `embedded` (in the process), `kubo` (a daemon, by its RPC), `memory` (tests).
 * All of them pass `test/suites/connector.suite.ts`.
 *
 * A node holds at most one record a wish: one CID, in its version 1, recursive or direct. CIDv0 and CIDv1 of one DAG
 * are the same wish: whatever form is asked for, the answer is the same, and removing one removes both.
 * CIDs are binary throughout.
 */
export interface Connector {
  /** Which node this is. Rejects with IPFS_UNAVAILABLE when it does not answer. */
  id(options: CallOptions): Promise<IpfsNodeId>;

  /**
   * Makes the node hold what the wish says, completely, and remember it durably: when this resolves, a crash of peer
   * and node loses neither blocks nor record. A recursive record replaces a direct one and the reverse; asked for
   * what is already so, it answers at once. Aborting undoes: no record is left that was not there before (blocks
   * already fetched may stay for the collector, and a direct record that was about to be replaced may be gone). Two calls
   * for one CID at once are run one after the other. Rejects with ConnectorError; then there is no record that says the wish.
   */
  pin(wish: Wish, options: PinCallOptions): Promise<void>;

  /** Forgets the record of either CID version. Unpinning what is not pinned succeeds. Blocks stay until collected. */
  unpin(cid: Uint8Array, options: CallOptions): Promise<void>;

  /**
   * How the node holds this CID by a record of its own ('none' also where another DAG holds its blocks). For a
   * recursive record this is a look at the record, not a walk of the DAG.
   */
  pinned(cid: Uint8Array, options: CallOptions): Promise<HoldMode | 'none'>;

  /** All records, in unspecified order, as a stream of constant memory. CIDs in version 1. */
  list(options: CallOptions): AsyncIterable<{ cid: Uint8Array; mode: HoldMode }>;

  /** Connects the node to others, best effort: resolves when tried, never rejects but by abort. */
  connect(addresses: readonly string[], options: CallOptions): Promise<void>;

  /** Stores blocks; when it resolves they are on the disk. A block that does not match its CID: INVALID_DAG. */
  putBlocks(blocks: readonly Block[], options: PutOptions): Promise<void>;

  /**
   * Which of these blocks the node's own store lacks, in their order. A hint what need not be put: where looking is dear, a node looks at
   * the first, and names all when that one is not there.
   */
  missingBlocks(cids: readonly Uint8Array[], options: CallOptions): Promise<Uint8Array[]>;

  /** A block from the node's own store, undefined when it is not there. Never fetches. */
  getBlock(cid: Uint8Array, options: CallOptions): Promise<Uint8Array | undefined>;

  /**
   * Where a path leads: through UnixFS directories (sharded ones, too), links of dag-pb by their names, and maps and lists of
   * dag-cbor and dag-json. Fetches the blocks on the way that are missing, each checked against its CID, and not the one at the end;
   * they stay for the collector, and no record is made. Of an /ipns name it is the node that says where it leads.
   * Rejects with NO_LINK, NO_NAMES, INVALID_DAG (a block on the way cannot be decoded), NO_PROVIDER after `stallTimeoutMs` without
   * a block, FAILED (too many blocks on the way, a name that leads nowhere), as any call does, or by abort.
   */
  resolve(path: ContentPath, options: ResolveOptions): Promise<Resolved>;

  /** Until released, garbage collection removes no block (adds in flight). Releasing twice does nothing. */
  protect(): { release(): void };

  /**
   * Removes every block that no record holds, by mark and sweep. Yields what was removed, as it goes; `bytes` is 0 where the node
   * does not tell. Rejects with FAILED when it cannot be done beside the pins under way, and takes nothing from them.
   */
  collectGarbage(options: CallOptions): AsyncIterable<{ cid: Uint8Array; bytes: number }>;

  /** Space of the node's repository, bytes. */
  space(options: CallOptions): Promise<{ usedBytes: number; freeBytes: number }>;

  /** Starts the node. Called once. */
  start(): Promise<void>;
  /** Stops the node, aborting what is under way. */
  stop(): Promise<void>;
}

export type HoldMode = 'recursive' | 'direct';

export interface Wish {
  cid: Uint8Array;
  mode: HoldMode;
  /** Multiaddrs (with /p2p/) of who may have the content: connected to first, and again on a stall. */
  sources: readonly string[];
  /**
   * A hint: a CID that this one replaces, and that the node may hold recursively. A node that can does not walk again what
   * the two have in common; others ignore it.
   */
  updates?: Uint8Array;
}

export interface Block {
  cid: Uint8Array;
  bytes: Uint8Array;
}

export interface IpfsNodeId {
  peerId: string;
  /** Listening multiaddrs, each with /p2p/. */
  addresses: string[];
  /** Name and version of the software, for people: "helia/7.1.15". */
  agent: string;
}

export interface CallOptions {
  signal: AbortSignal;
}

export interface PutOptions extends CallOptions {
  /** Their CIDs were made of these bytes, or compared with them, in this process: nobody need do it again. */
  areChecked?: boolean;
  /** When one does not match, others may have been stored: so a node that hashes them itself is not forestalled. */
  mayBePartial?: boolean;
}

export interface ResolveOptions extends CallOptions {
  /** Multiaddrs (with /p2p/) of who may have the blocks: connected to when one is missing. */
  sources: readonly string[];
  /** For each block, and for a name. */
  stallTimeoutMs: number;
}

export interface Resolved {
  /** As the last link has it, in version 0 or 1. */
  cid: Uint8Array;
  /** What of the path lies inside the block of that CID: empty when it leads to the block itself. */
  rest: readonly string[];
}

export interface PinCallOptions extends CallOptions {
  /** Called with the running number of blocks present (found or fetched). A stall is told by its absence. */
  onProgress?: (blocks: number) => void;
  /** Rejects with PIN_STALLED (or NO_PROVIDER when not one block came) after so long without a further block. */
  stallTimeoutMs: number;
}

/**
 *   NO_PROVIDER   nobody reachable had the root
 *   PIN_STALLED   some blocks came, then none for the stall time-out
 *   DISK_FULL     the node cannot store more
 *   INVALID_DAG   a block does not hash to its CID, cannot be decoded, or is over the size limit
 *   UNREACHABLE   the node itself does not answer
 *   NO_LINK       a path names what is not there; the message names it, and the CID that it was looked for in
 *   NO_NAMES      the node resolves no /ipns names
 *   FAILED        anything else; the message has the node's words
 */
export type ConnectorErrorKind =
  | 'NO_PROVIDER'
  | 'PIN_STALLED'
  | 'DISK_FULL'
  | 'INVALID_DAG'
  | 'UNREACHABLE'
  | 'NO_LINK'
  | 'NO_NAMES'
  | 'FAILED';

export class ConnectorError extends Error {
  readonly kind: ConnectorErrorKind;

  constructor(kind: ConnectorErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ConnectorError';
    this.kind = kind;
  }
}
