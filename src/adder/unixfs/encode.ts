import * as dagPb from '@ipld/dag-pb';
import type { CID } from 'multiformats/cid';
import { varint } from '../../model/bytes.ts';
import { varintSize } from '../../pinset/codec/writer.ts';

/** https://specs.ipfs.tech/unixfs/#data: the types that are made here. */
export const UNIXFS = { raw: 0, directory: 1, file: 2, symlink: 4, shard: 5 } as const;

/** murmur3-x64-64: the hash by which shards place names. */
const SHARD_HASH = 0x22;

/** What a file, directory or link may have besides its content. */
export interface Attributes {
  /** Unix permission bits; undefined or 0: none. */
  mode?: number;
  mtime?: { secs: bigint; nsecs?: number };
}

export interface UnixfsData extends Attributes {
  type: (typeof UNIXFS)[keyof typeof UNIXFS];
  data?: Uint8Array;
  /** Files have one, also an empty one. */
  fileSize?: number;
  blockSizes?: readonly number[];
  /** Shards have one. */
  fanout?: number;
}

export interface Link {
  name: string;
  cid: CID;
  /** Bytes of the whole DAG behind it, blocks that occur in it twice counted twice. */
  dagBytes: number;
}

/** The protobuf message, fields in the order of their numbers, as Kubo writes it: libraries differ in which defaults they leave out. */
export function encodeUnixfs(value: UnixfsData): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(0x08, value.type)];
  if (value.data !== undefined) parts.push(Uint8Array.of(0x12), varint(value.data.length), value.data);
  if (value.fileSize !== undefined) parts.push(Uint8Array.of(0x18), varint(value.fileSize));
  for (const size of value.blockSizes ?? []) parts.push(Uint8Array.of(0x20), varint(size));
  if (value.fanout !== undefined) parts.push(Uint8Array.of(0x28, SHARD_HASH, 0x30), varint(value.fanout));
  if (value.mode) parts.push(Uint8Array.of(0x38), varint(value.mode & 0o7777));
  if (value.mtime !== undefined) parts.push(...encodeTime(value.mtime));
  return Buffer.concat(parts);
}

function encodeTime({ secs, nsecs = 0 }: NonNullable<Attributes['mtime']>): Uint8Array[] {
  const parts: Uint8Array[] = [Uint8Array.of(0x08), varint(BigInt.asUintN(64, secs))];
  if (nsecs > 0) {
    const nanos = Buffer.alloc(5);
    nanos[0] = 0x15;
    nanos.writeUInt32LE(nsecs, 1);
    parts.push(nanos);
  }
  const message = Buffer.concat(parts);
  return [Uint8Array.of(0x42), varint(message.length), message];
}

/** A node with links, in the canonical form of dag-pb: links by name. */
export function encodeNode(links: readonly Link[], data: Uint8Array): Uint8Array {
  const Links = links.map(({ name, cid, dagBytes }) => ({ Name: name, Tsize: dagBytes, Hash: cid }));
  return dagPb.encode(dagPb.prepare({ Data: data, Links }));
}

/** A leaf: `encodeNode` of no links and a file with this data, in one copy. */
export function encodeLeaf(
  type: typeof UNIXFS.raw | typeof UNIXFS.file,
  data: Uint8Array,
  kept: Attributes,
): Uint8Array {
  const head = Uint8Array.of(0x08, type);
  const length = varint(data.length);
  const rest = encodeUnixfs({ type, fileSize: data.length, ...kept }).subarray(2);
  const unixfs = head.length + (data.length === 0 ? 0 : 1 + length.length + data.length) + rest.length;
  const parts: Uint8Array[] = [Uint8Array.of(0x0a), varint(unixfs), head];
  if (data.length > 0) parts.push(Uint8Array.of(0x12), length, data);
  return Buffer.concat([...parts, rest]);
}

/** Bytes of a link in a node: what it adds to the size of a directory by blocks. */
export function linkBytes(link: Link): number {
  const name = Buffer.byteLength(link.name);
  const cid = link.cid.byteLength;
  const inner = 3 + varintSize(cid) + cid + varintSize(name) + name + varintSize(link.dagBytes);
  return 1 + varintSize(inner) + inner;
}

/** Bytes of the field of a node that the data is in. */
export function dataBytes(data: Uint8Array): number {
  return 1 + varintSize(data.length) + data.length;
}
