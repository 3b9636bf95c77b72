import * as dagCbor from '@ipld/dag-cbor';
import type { CID } from 'multiformats/cid';
import { varint } from '../../model/bytes.ts';

/** https://ipld.io/specs/transport/car/carv1/: what an archive of version 1 begins with. */
export function carHeader(roots: readonly CID[]): Uint8Array {
  const header = dagCbor.encode({ version: 1, roots });
  return Buffer.concat([varint(header.length), header]);
}

/** One block in it, in pieces, so that its bytes are not copied. */
export function carSection(cid: CID, bytes: Uint8Array): [head: Uint8Array, bytes: Uint8Array] {
  return [Buffer.concat([varint(cid.byteLength + bytes.length), cid.bytes]), bytes];
}
