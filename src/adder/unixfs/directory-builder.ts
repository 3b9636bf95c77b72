import { shardHash, shardPrefix } from '../../ipfs/dag/hamt.ts';
import { DAG_PB } from '../../ipfs/dag/links.ts';
import { invalidField, PinfoldError } from '../../model/errors.ts';
import type { BlockMaker } from './block-maker.ts';
import { type Attributes, dataBytes, encodeNode, encodeUnixfs, type Link, linkBytes, UNIXFS } from './encode.ts';

export interface DirectoryForm {
  /** Above so many links it is sharded; 0: only its size counts. */
  linksMax: number;
  /** Above so many bytes, estimated or of its block, it is sharded; 0: it never is. */
  shardAboveBytes: number;
  sizeBy: 'links' | 'block';
  /** Bits of a name's hash for each level of a sharded one. */
  fanoutBits: number;
}

/** A directory of these entries, flat or sharded as Kubo would (boxo, ipld/unixfs/io and hamt). */
export async function buildDirectory(
  links: readonly Link[],
  form: DirectoryForm,
  kept: Attributes,
  blocks: BlockMaker,
): Promise<Omit<Link, 'name'>> {
  const data = encodeUnixfs({ type: UNIXFS.directory, ...kept });
  if (isSharded(links, data, form)) {
    const entries = links.map((link) => ({ link, hash: shardHash(link.name) }));
    return await new Sharder(form.fanoutBits, blocks).shard(entries, 0, kept);
  }
  return await put(links, data, blocks);
}

/** The sizes that Kubo reckons with, whatever the order in which entries came. */
function isSharded(links: readonly Link[], data: Uint8Array, form: DirectoryForm): boolean {
  const isOverfull = form.linksMax > 0 && links.length > form.linksMax;
  if (form.shardAboveBytes === 0) {
    if (isOverfull) throw tooMany(links, form);
    return false;
  }
  if (isOverfull) return true;
  const byBlock = form.sizeBy === 'block';
  let bytes = byBlock ? dataBytes(data) : 0;
  for (const link of links) bytes += byBlock ? linkBytes(link) : Buffer.byteLength(link.name) + link.cid.byteLength;
  return bytes > form.shardAboveBytes;
}

function tooMany(links: readonly Link[], { linksMax }: DirectoryForm): PinfoldError {
  const problem = `${linksMax}, but a directory has ${links.length} entries, and none may be sharded (hamt_threshold_bytes is 0)`;
  return invalidField('import.max_directory_links', problem);
}

interface Hashed {
  link: Link;
  /** Of its name. */
  hash: bigint;
}

class Sharder {
  readonly #bits: number;
  readonly #blocks: BlockMaker;

  constructor(bits: number, blocks: BlockMaker) {
    this.#bits = bits;
    this.#blocks = blocks;
  }

  /** A node for entries whose hashes share their first bits; entries that go on sharing are a node below. */
  async shard(entries: readonly Hashed[], bitsUsed: number, kept: Attributes): Promise<Omit<Link, 'name'>> {
    const used = bitsUsed + this.#bits;
    if (used > 64) {
      const names = entries.slice(0, 2).map(({ link }) => `"${link.name}"`);
      throw new PinfoldError(
        'INVALID_ARGUMENT',
        `the hashes of ${names.join(' and ')} are equal: they cannot lie in one sharded directory`,
      );
    }
    const places = new Map<number, Hashed[]>();
    for (const entry of entries) {
      const index = Number((entry.hash >> BigInt(64 - used)) & ((1n << BigInt(this.#bits)) - 1n));
      const there = places.get(index);
      if (there === undefined) places.set(index, [entry]);
      else there.push(entry);
    }
    const fanout = 2 ** this.#bits;
    const bitfield = new Uint8Array(fanout / 8);
    const links: Link[] = [];
    for (const [index, there] of [...places].sort(([a], [b]) => a - b)) {
      const byte = bitfield.length - 1 - (index >>> 3);
      bitfield[byte] = (bitfield[byte] as number) | (1 << (index & 7));
      const prefix = shardPrefix(index, this.#bits);
      const [only] = there;
      if (there.length === 1 && only !== undefined) links.push({ ...only.link, name: prefix + only.link.name });
      else links.push({ name: prefix, ...(await this.shard(there, used, {})) });
    }
    const firstSet = bitfield.findIndex((byte) => byte !== 0);
    const data = encodeUnixfs({
      type: UNIXFS.shard,
      data: bitfield.subarray(firstSet === -1 ? bitfield.length : firstSet),
      fanout,
      ...kept,
    });
    return await put(links, data, this.#blocks);
  }
}

async function put(links: readonly Link[], data: Uint8Array, blocks: BlockMaker): Promise<Omit<Link, 'name'>> {
  const bytes = encodeNode(links, data);
  const cid = await blocks.put(DAG_PB, bytes);
  return { cid, dagBytes: links.reduce((sum, link) => sum + link.dagBytes, bytes.length) };
}
