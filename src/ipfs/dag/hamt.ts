import type { PBLink } from '@ipld/dag-pb';
import { murmur3128 } from '@multiformats/murmur3';
import { UnixFS } from 'ipfs-unixfs';

/**
 * https://specs.ipfs.tech/unixfs/: sharded directories have one hash function, murmur3-x64-64. What claims to have another one (the
 * library does not tell) has no name where it is looked for.
 */
const HASH_BITS = 64;
/** As Kubo has it: a power of two. */
const FANOUT_BITS_MIN = 3;
const FANOUT_BITS_MAX = 10;

/** One shard of a sharded directory: a node of a hash array mapped trie over the names in it. */
export interface Shard {
  /** Bits of a name's hash that choose a link here. */
  bits: number;
}

/** Undefined: dag-pb of another kind. Throws RangeError for a shard of a form that is not known. */
export function shardOf(data: Uint8Array | undefined): Shard | undefined {
  const unixfs = unixfsOf(data);
  if (unixfs?.type !== 'hamt-sharded-directory') return undefined;
  const { fanout } = unixfs;
  const bits = Math.log2(Number(fanout ?? 0n));
  if (!Number.isInteger(bits) || bits < FANOUT_BITS_MIN || bits > FANOUT_BITS_MAX) {
    throw new RangeError(`a shard with the fanout ${fanout}`);
  }
  return { bits };
}

/** dag-pb has more uses than UnixFS: what is none has nothing of a shard. */
function unixfsOf(data: Uint8Array | undefined): UnixFS | undefined {
  try {
    return data && UnixFS.unmarshal(data);
  } catch {
    return undefined;
  }
}

/** Follows one name down the shards of a directory: each uses up the next bits of the name's hash. */
export class ShardLookup {
  readonly #name: string;
  readonly #hash: bigint;
  #bitsUsed = 0;

  constructor(name: string) {
    this.#name = name;
    this.#hash = shardHash(name);
  }

  /** The link to the entry, or to the shard below that would have it; `undefined`: there is no such entry. */
  find({ bits }: Shard, links: readonly PBLink[]): { link: PBLink; isEntry: boolean } | undefined {
    const prefix = this.#nextPrefix(bits);
    const entry = links.find(({ Name }) => Name === prefix + this.#name);
    if (entry !== undefined) return { link: entry, isEntry: true };
    const below = links.find(({ Name }) => Name === prefix);
    return below && { link: below, isEntry: false };
  }

  /** The first characters of the links here that the name can be behind: so many bits, as upper-case hexadecimal. */
  #nextPrefix(bits: number): string {
    this.#bitsUsed += bits;
    if (this.#bitsUsed > HASH_BITS) throw new RangeError('shards below shards for more bits than a hash has');
    const index = (this.#hash >> BigInt(HASH_BITS - this.#bitsUsed)) & ((1n << BigInt(bits)) - 1n);
    return shardPrefix(Number(index), bits);
  }
}

/** By which shards place a name, highest bits first: murmur3-x64-64. */
export function shardHash(name: string): bigint {
  const digest = murmur3128.digest(new TextEncoder().encode(name));
  if (digest instanceof Promise) throw new TypeError('hash functions must be synchronous');
  return Buffer.from(digest.digest).readBigUInt64BE();
}

/** What the names of links begin with in a shard of so many bits. */
export function shardPrefix(index: number, bits: number): string {
  return index
    .toString(16)
    .toUpperCase()
    .padStart(Math.ceil(bits / 4), '0');
}
