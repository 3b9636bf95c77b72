import type { PinfoldError } from '../model/errors.ts';
import type { PinFields, PinKey } from '../model/pin.ts';
import type { StoredPin } from '../pinset/pinset.ts';
import type { Repair } from './repair.ts';

/**
 * Agreement of the peers on one pinset. Implementations: `crdt`; Raft follows. Callers branch on `capabilities`, never on
 * a name. Every write ends up in the pinset (rows, feed, digest) of every peer; reading is done there.
 */
export interface Consensus {
  readonly capabilities: Capabilities;

  /**
   * Decides requests, in order, and resolves with one outcome each when all are DURABLE. Requests of one call and of
   * calls at the same time share transactions and flushes; a request is atomic, a call is not. Aborting stops the waiting: what was
   * taken in may stand. Never rejects for a single request; rejects with STORAGE_FAILED, SHUTTING_DOWN or the abort's reason.
   * At most `requestsPerCallMax` requests; callers wait for the answer before sending more than a few calls.
   */
  commit(requests: readonly Request[], options: { signal: AbortSignal }): Promise<Outcome[]>;

  /**
   * Resolves when a write is at a level, or after `timeoutMs` with what was reached: that is no error, the write stands. A fact about
   * that moment: who loses its disk later does not take it back. At most `LEVEL_WAITS_MAX` waits at once (LIMIT_REACHED). Rejects with
   * INVALID_TOKEN, the signal's reason, or UNIMPLEMENTED for a level that is not among the capabilities.
   */
  waitLevel(position: Position, level: AckLevel, options: WaitOptions): Promise<LevelReached>;

  /** Why no write can reach that level now: LEVEL_UNREACHABLE, with the fact `peers`; UNIMPLEMENTED for a level that is not here. */
  levelRefusal(level: AckLevel): PinfoldError | undefined;

  /** For a bulk stream: up to which number its operations are decided and on the disk (0: the stream is not known). */
  streamDecided(stream: Uint8Array): Promise<number>;

  /** Whether this peer's flushed state contains that write. Throws INVALID_TOKEN. */
  covers(position: Position): boolean;

  /**
   * Which history this store goes on with: another one once it was found to be a copy, or to have been put back. Feed revisions of
   * one history mean nothing in another. Valid once started.
   */
  readonly history: Uint8Array;

  /** A position that covers what is committed here now; undefined while that is not flushed. For resume tokens. */
  flushedPosition(revision: number): Position | undefined;

  /**
   * Keys that may differ between the state at a position (from any peer) and now: for a watch that goes on at another peer. 'gone' when the
   * log does not reach back so far; 'ahead' when this peer has not seen all of that position yet.
   */
  changedSince(position: Position): PinKey[] | 'gone' | 'ahead';

  /** Whether writes are taken now, and if not, why: the error that `commit` would give. */
  refusal(): PinfoldError | undefined;

  status(): ConsensusStatus;

  readonly repair: Repair;

  start(): Promise<void>;
  /** Decides what was taken in, flushes, and stops. */
  stop(): Promise<void>;
}

export interface Capabilities {
  readonly name: 'crdt';
  readonly hasLeader: boolean;
  readonly writesInMinority: boolean;
  readonly linearizableReads: boolean;
  readonly conditionScope: 'observed' | 'linearizable';
  /** Acknowledgement levels that `waitLevel` takes. */
  readonly levels: readonly AckLevel['kind'][];
}

export interface Request {
  /** Done together or not at all, at one revision. At most 1,000. */
  ops: readonly Op[];
  /** On the key of the first operation. */
  condition?: Condition;
  /** What the caller goes on to wait for, so that others are asked to tell. */
  ack?: AckLevel;
  /** 16 bytes: hash of a call's idempotency key, and of the request, to find that the key is used for something else. */
  idempotency?: { key: Uint8Array; request: Uint8Array };
  /** The number of this request in a bulk stream (16 bytes: hash of its key). Numbers already decided are answered as such. */
  stream?: { key: Uint8Array; number: number };
}

/**
 *   pin     replaces what this peer has seen of the key
 *   unpin   removes what this peer has seen of the key; PIN_NOT_FOUND if that is nothing
 *   amend   changes where the shown pin lies, if its etag is still `basis`; else nothing
 *   expire  removes what of the key has expired, if the shown pin's etag is still `basis`; else nothing
 */
export type Op =
  | { kind: 'pin'; key: PinKey; fields: PinFields; allocations: readonly string[] }
  | { kind: 'unpin'; key: PinKey }
  | { kind: 'amend'; key: PinKey; basis: Uint8Array; allocations: readonly string[] }
  | { kind: 'expire'; key: PinKey; basis: Uint8Array };

export type Condition = { kind: 'if-absent' } | { kind: 'if-match'; etag: Uint8Array };

export type AckLevel = { kind: 'durable' } | { kind: 'replicated'; count: number } | { kind: 'pinned'; count: number };

export interface WaitOptions {
  signal: AbortSignal;
  timeoutMs: number;
}

export interface LevelReached {
  /** At most what was asked. Undefined: this peer has not even seen the write. */
  level: AckLevel | undefined;
  /** Peer IDs of those that are known to hold it on their disks: of trusted peers that are no followers. */
  acknowledgedBy: readonly string[];
}

export type Outcome =
  | {
      ok: true;
      /** The first operation's pin: as stored (pin), as it was (unpin). Undefined when an amend or expire did nothing, or for a repeated stream number. */
      pin: StoredPin | undefined;
      position: Position;
      /** DURABLE. */
      level: AckLevel;
      /** Peer IDs of members who would not take this write. */
      unseenBy: readonly string[];
    }
  | { ok: false; error: PinfoldError };

/** Names a write, or a state, everywhere in the cluster. Opaque. */
export type Position = Uint8Array;

export interface ConsensusStatus {
  phase: 'starting' | 'joining' | 'ready' | 'stopped';
  /** While a new table set is filled: by a join, or by a rebuild, during which the peer is ready. */
  rebuild: RebuildStatus | undefined;
  log: LogStatus;
  leader: string | undefined;
  alerts: readonly ConsensusAlert[];
}

export interface RebuildStatus {
  step: 'filling' | 'indexing' | 'catching-up';
  /** Parts of the pinset that are filled, of all. */
  done: number;
  of: number;
  /** Why it does not get on; empty: it does. */
  problem: string;
}

/** What is kept for peers that are behind. */
export interface LogStatus {
  batches: number;
  bytes: number;
  /** When the oldest of it was taken in, about; undefined: not known. */
  oldestMs: number | undefined;
  /** The peers that were heard in the last 24 h, the latest first: the log is kept for what they lack. */
  holders: readonly LogHolder[];
}

export interface LogHolder {
  peerId: string;
  heardMs: number;
  /** Operations that this peer has and that one has not acknowledged. */
  lacking: number;
}

export interface ConsensusAlert {
  kind:
    | 'FORK'
    | 'DIVERGED'
    /** A scrub found rows that cannot be read, or that are not what the digest says. */
    | 'ROW_DAMAGED'
    | 'INDEX_DAMAGED'
    | 'DISTRUSTED_BY'
    | 'CLOCK_SKEW'
    | 'DUPLICATE_IDENTITY'
    | 'LOG_DAMAGED'
    | 'CLOCK_ENTRIES'
    /** Others know more of this peer than its store: it was put back. */
    | 'ROLLED_BACK'
    /** The others' logs do not reach back to what this peer has. */
    | 'REBUILD_NEEDED';
  peerId: string;
  message: string;
  sinceMs: number;
}
