import * as dagCbor from '@ipld/dag-cbor';
import { varint } from 'multiformats';
import type { CID } from 'multiformats/cid';

/** https://ipld.io/specs/transport/car/carv1/: what an archive of version 1 begins with. */
export function carHeader(roots: readonly CID[]): Uint8Array {
  const header = dagCbor.encode({ version: 1, roots: [...roots] });
  return Buffer.concat([lengthOf(header.length), header]);
}

/** One block in it, in pieces, so that its bytes are not copied. */
export function carSection(cid: CID, bytes: Uint8Array): Uint8Array[] {
  return [lengthOf(cid.bytes.length + bytes.length), cid.bytes, bytes];
}

function lengthOf(bytes: number): Uint8Array {
  return varint.encodeTo(bytes, new Uint8Array(varint.encodingLength(bytes)));
}
