import type { PinKey } from '../../../model/pin.ts';

/** What a batch's author signed, decoded (docs/protocol.md section 3). */
export interface BatchHeader {
  level: number;
  /** Binary peer ID. */
  author: Uint8Array;
  /** 8 bytes, big-endian. */
  incarnation: Uint8Array;
  first: number;
  last: number;
  /** Hash of the author's previous header; empty for the first batch. */
  prev: Uint8Array;
  inc: readonly IncEntry[];
  opsHash: Uint8Array;
  opsBytes: number;
}

export interface IncEntry {
  rid: Uint8Array;
  sequence: number;
}

/** A batch, its header decoded, its bytes as they came. */
export interface Batch {
  /** As signed and hashed. */
  header: Uint8Array;
  signature: Uint8Array;
  /** Empty: an announcement. */
  ops: Uint8Array;
  /** Of the frame: its author wants to be told when it is on a disk (R7). */
  wantAck: boolean;
  head: BatchHeader;
  /** SHA-256 of `header`. */
  hash: Uint8Array;
  rid: Uint8Array;
  /** `rid`, one character a byte. */
  ridText: string;
}

export const PIN = 1;
export const UNPIN = 2;
export const AMEND = 3;
export type OperationKind = typeof PIN | typeof UNPIN | typeof AMEND;

/** One operation as it travels: dots and peers are positions in the batch's tables. */
export interface Operation {
  kind: OperationKind;
  key: PinKey;
  /** Pairs: position in `rids`, sequence. */
  sees: readonly number[];
  stamp: number;
  /** Of pins; else empty. */
  value: Uint8Array;
  /** Positions in `peers`. */
  allocations: readonly number[];
  idempotency: Uint8Array | undefined;
}

export interface StreamRun {
  stream: Uint8Array;
  first: number;
  last: number;
  position: number;
}

export interface Operations {
  rids: readonly Uint8Array[];
  peers: readonly Uint8Array[];
  operations: readonly Operation[];
  runs: readonly StreamRun[];
}

/** Names behind local numbers of replicas. */
export interface Rids {
  name(replica: number): Uint8Array;
}
