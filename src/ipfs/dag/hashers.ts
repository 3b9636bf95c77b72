import { hash } from 'node:crypto';
import { blake2b } from '@noble/hashes/blake2.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { keccak_256, keccak_512 } from '@noble/hashes/sha3.js';
import type { CID } from 'multiformats/cid';
import { from } from 'multiformats/hashes/hasher';
import { identity } from 'multiformats/hashes/identity';
import type { MultihashHasher } from 'multiformats/hashes/interface';
import { equalBytes } from '../../model/bytes.ts';
import { formatCid } from '../../model/cid.ts';
import { ConnectorError } from '../connector.ts';
import { BLOCK_BYTES_MAX } from '../constants.ts';

/** Code and name as in https://github.com/multiformats/multicodec/blob/master/table.csv. Those that Kubo accepts for content (boxo, verifcid). */
const table: readonly [number, string, (bytes: Uint8Array) => Uint8Array][] = [
  [0x12, 'sha2-256', native('sha256')],
  [0x13, 'sha2-512', native('sha512')],
  [0x56, 'dbl-sha2-256', (bytes) => native('sha256')(native('sha256')(bytes))],
  [0x11, 'sha1', native('sha1')],
  [0x17, 'sha3-224', native('sha3-224')],
  [0x16, 'sha3-256', native('sha3-256')],
  [0x15, 'sha3-384', native('sha3-384')],
  [0x14, 'sha3-512', native('sha3-512')],
  [0x19, 'shake-256', (bytes) => hash('shake256', bytes, { outputEncoding: 'buffer', outputLength: 64 })],
  [0x1b, 'keccak-256', keccak_256],
  [0x1d, 'keccak-512', keccak_512],
  [0x1e, 'blake3', (bytes) => blake3(bytes)],
  // By bytes of digest, which the codes count.
  ...Array.from({ length: 44 }, (_, at): [number, string, (bytes: Uint8Array) => Uint8Array] => {
    const dkLen = 20 + at;
    return [0xb200 + dkLen, `blake2b-${8 * dkLen}`, (bytes) => blake2b(bytes, { dkLen })];
  }),
  [0xb240, 'blake2b-512', native('blake2b512')],
  [0xb260, 'blake2s-256', native('blake2s256')],
];

/** Not for content, but blocks that have it can be checked. */
const checkedOnly: typeof table = [[0x20, 'sha2-384', native('sha384')]];

function native(algorithm: string): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => hash(algorithm, bytes, 'buffer');
}

export const IDENTITY_CODE = identity.code;

/** The multihash functions that blocks can be checked with, by code. */
export const hashers: ReadonlyMap<number, MultihashHasher> = new Map<number, MultihashHasher>([
  [identity.code, identity as MultihashHasher],
  ...[...table, ...checkedOnly].map(([code, name, encode]): [number, MultihashHasher] => [
    code,
    from({ code, name, encode: (bytes) => new Uint8Array(encode(bytes)) }),
  ]),
]);

/** Those that content can be hashed with: codes by name. */
export const hasherNames: ReadonlyMap<string, number> = new Map(table.map(([code, name]) => [name, code]));

/** Throws INVALID_DAG for more bytes than a block may have. */
export function checkSize(cid: CID, bytes: Uint8Array): void {
  if (bytes.length <= BLOCK_BYTES_MAX) return;
  throw invalid(cid, `has ${bytes.length} bytes, more than a block may have (${BLOCK_BYTES_MAX})`);
}

/** Throws INVALID_DAG when the bytes are not the block of this CID, or cannot be checked. */
export function checkBlock(cid: CID, bytes: Uint8Array): void {
  checkSize(cid, bytes);
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
