import * as dagCbor from '@ipld/dag-cbor';
import type { CID } from 'multiformats/cid';
import { varint } from '../../model/bytes.ts';

/** What a CAR of version 1 begins with. */
export function carHeader(roots: readonly CID[]): Uint8Array {
  const header = dagCbor.encode({ version: 1, roots });
  return Buffer.concat([varint(header.length), header]);
}

/** A block in a CAR: what is before its bytes. */
export function carSectionHead(cid: CID, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([varint(cid.byteLength + bytes.length), cid.bytes]);
}
