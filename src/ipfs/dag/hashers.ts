import { hash } from 'node:crypto';
import type { CID } from 'multiformats/cid';
import { from } from 'multiformats/hashes/hasher';
import { identity } from 'multiformats/hashes/identity';
import type { MultihashHasher } from 'multiformats/hashes/interface';
import { equalBytes } from '../../model/bytes.ts';
import { formatCid } from '../../model/cid.ts';
import { ConnectorError } from '../connector.ts';
import { BLOCK_BYTES_MAX } from '../constants.ts';

/** https://github.com/multiformats/multicodec/blob/master/table.csv: code, its name there, node:crypto's name. */
const table: readonly [number, string, string][] = [
  [0x12, 'sha2-256', 'sha256'],
  [0x13, 'sha2-512', 'sha512'],
  [0x20, 'sha2-384', 'sha384'],
  [0x14, 'sha3-512', 'sha3-512'],
  [0x15, 'sha3-384', 'sha3-384'],
  [0x16, 'sha3-256', 'sha3-256'],
  [0xb240, 'blake2b-512', 'blake2b512'],
];

export const IDENTITY_CODE = identity.code;

/** The multihash functions that blocks can be checked with, by code. */
export const hashers: ReadonlyMap<number, MultihashHasher> = new Map<number, MultihashHasher>([
  [identity.code, identity as MultihashHasher],
  ...table.map(([code, name, algorithm]): [number, MultihashHasher] => [
    code,
    from({ code, name, encode: (bytes) => new Uint8Array(hash(algorithm, bytes, 'buffer')) }),
  ]),
]);

/** Throws INVALID_DAG when the bytes are not the block of this CID, or cannot be checked. */
export function checkBlock(cid: CID, bytes: Uint8Array): void {
  if (bytes.length > BLOCK_BYTES_MAX) {
    throw invalid(cid, `has ${bytes.length} bytes, more than a block may have (${BLOCK_BYTES_MAX})`);
  }
  const expected = cid.multihash;
  const hasher = hashers.get(expected.code);
  if (hasher === undefined)
    throw invalid(cid, `has the hash function 0x${expected.code.toString(16)}, which is not known here`);
  const digest = hasher.digest(bytes);
  if (digest instanceof Promise) throw new TypeError('hash functions must be synchronous');
  if (!equalBytes(digest.digest, expected.digest)) throw invalid(cid, 'does not match its CID');
}

/** Throws INVALID_DAG for a CID whose blocks could never be checked. */
export function checkHashable(cid: CID): void {
  if (!hashers.has(cid.multihash.code)) {
    throw invalid(cid, `has the hash function 0x${cid.multihash.code.toString(16)}, which is not known here`);
  }
}

function invalid(cid: CID, what: string): ConnectorError {
  return new ConnectorError('INVALID_DAG', `the block ${formatCid(cid.bytes)} ${what}`);
}
