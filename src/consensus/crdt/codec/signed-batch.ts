import { hash } from 'node:crypto';
import { byteString, equalBytes } from '../../../model/bytes.ts';
import { isPeerIdBytes, publicKeyOf } from '../../../model/peer-id.ts';
import { Malformed, Reader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';
import { signatureBytes, verifyEd25519 } from '../../../runtime/ed25519.ts';
import { BATCH_BYTES_MAX, OPS_PER_BATCH_MAX, PROTOCOL_LEVEL } from '../constants.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import type { Batch, BatchHeader } from '../core/types.ts';
import { decodeHeader, HASH_BYTES, ridOf } from './header.ts';

// pinfold.peer.v1.SignedBatch by hand: what gossip, Sync and the log carry, its three parts verbatim.
const HEADER = 0x0a;
const SIGNATURE = 0x12;
const OPS = 0x1a;
const WANT_ACK = 0x20;

const none = new Uint8Array(0);

export interface BatchParts {
  header: Uint8Array;
  signature: Uint8Array;
  ops: Uint8Array;
  /** Its author wants to be told when it is on a disk (R7). */
  wantAck?: boolean;
}

export function encodeSignedBatch({ header, signature, ops }: BatchParts, wantAck = false): Uint8Array {
  const writer = new Writer(header.length + signature.length + ops.length + 32);
  writer.bytesField(HEADER, header);
  writer.bytesField(SIGNATURE, signature);
  if (ops.length > 0) writer.bytesField(OPS, ops);
  if (wantAck) writer.varintField(WANT_ACK, 1);
  return writer.bytes.subarray(0, writer.at);
}

/** Throws InvalidBatch. The parts are views. */
export function decodeSignedBatch(bytes: Uint8Array): BatchParts {
  const parts: BatchParts = { header: none, signature: none, ops: none };
  try {
    const reader = new Reader(bytes);
    while (reader.more) {
      const tag = reader.varint();
      if (tag === HEADER) parts.header = reader.view();
      else if (tag === SIGNATURE) parts.signature = reader.view();
      else if (tag === OPS) parts.ops = reader.view();
      else if (tag === WANT_ACK) parts.wantAck = reader.varint() !== 0;
      else throw new Malformed(`unknown field ${tag >>> 3}`);
    }
  } catch (cause) {
    if (cause instanceof Malformed) throw new InvalidBatch('malformed', `batch: ${cause.message}`);
    throw cause;
  }
  return parts;
}

/**
 * Decodes and checks the header alone: neither signature nor operations, so that duplicates cost next to nothing. Throws
 * InvalidBatch.
 */
export function openBatch(parts: BatchParts): Batch {
  const head = decodeHeader(parts.header);
  checkHeader(head);
  if (parts.signature.length !== signatureBytes) throw new InvalidBatch('signature', 'a signature of a wrong length');
  if (parts.ops.length > 0 && parts.ops.length !== head.opsBytes) {
    throw new InvalidBatch('hash', `${parts.ops.length} bytes of operations where the header says ${head.opsBytes}`);
  }
  const rid = ridOf(publicKeyOf(head.author), head.incarnation);
  return {
    ...parts,
    wantAck: parts.wantAck ?? false,
    head,
    hash: hash('sha256', parts.header, 'buffer'),
    rid,
    ridText: byteString(rid),
  };
}

function checkHeader(head: BatchHeader): void {
  if (head.level !== PROTOCOL_LEVEL) throw new InvalidBatch('malformed', `level ${head.level}`);
  if (!isPeerIdBytes(head.author)) throw new InvalidBatch('malformed', 'the author is not an Ed25519 peer ID');
  if (head.first < 1 || head.last < head.first) throw new InvalidBatch('sequence', `${head.first} to ${head.last}`);
  if (head.last - head.first >= OPS_PER_BATCH_MAX) throw new InvalidBatch('limit', 'too many operations');
  if (head.opsBytes < 1 || head.opsBytes > BATCH_BYTES_MAX) {
    throw new InvalidBatch('limit', `${head.opsBytes} bytes of operations`);
  }
  if (head.prev.length !== (head.first === 1 ? 0 : HASH_BYTES)) throw new InvalidBatch('hash', 'prev');
  if (head.opsHash.length !== HASH_BYTES) throw new InvalidBatch('hash', 'opsHash');
}

/** Checks that its author signed it and that the operations are those that were signed. Throws InvalidBatch. */
export function verifyBatch(batch: Batch, isSignatureRight = false): void {
  if (!isSignatureRight && !verifyEd25519(publicKeyOf(batch.head.author), batch.header, batch.signature)) {
    throw new InvalidBatch('signature', 'not signed by its author');
  }
  if (batch.ops.length > 0 && !equalBytes(hash('sha256', batch.ops, 'buffer'), batch.head.opsHash)) {
    throw new InvalidBatch('hash', 'the operations are not those that were signed');
  }
}
