import type { PBLink } from '@ipld/dag-pb';
import { Node, UnixFS } from 'ipfs-unixfs';
import type { CID } from 'multiformats/cid';
import { ConnectorError } from '../../ipfs/connector.ts';
import { type Shard, shardOf } from '../../ipfs/dag/hamt.ts';
import { asCid, DAG_PB, decoded, RAW } from '../../ipfs/dag/links.ts';
import { formatCid } from '../../model/cid.ts';

/** A block as UnixFS has it. https://specs.ipfs.tech/unixfs/ */
export type UnixfsNode =
  | ({ kind: 'file' } & FilePart & Metadata)
  | ({ kind: 'directory'; links: NamedLink[] } & Metadata)
  | ({ kind: 'shard'; shard: Shard; links: NamedLink[] } & Metadata)
  | ({ kind: 'symlink'; target: string } & Metadata);

export interface Metadata {
  /** As it was stored: permissions, and bits above them. */
  mode: number | undefined;
  mtime: { seconds: bigint; nanoseconds: number } | undefined;
}

/** Content of a file, or of a part of one: its own bytes, and then those of its parts. */
export interface FilePart {
  data: Uint8Array;
  parts: { cid: CID; size: bigint }[];
  /** Of all, bytes. */
  size: bigint;
}

/** In a shard the name has a prefix. */
export interface NamedLink {
  name: string;
  cid: CID;
}

const noMetadata: Metadata = { mode: undefined, mtime: undefined };

/** Undefined: it is none of UnixFS. Throws INVALID_DAG. */
export function unixfsNodeOf(cid: CID, bytes: Uint8Array): UnixfsNode | undefined {
  if (cid.code === RAW) return { kind: 'file', ...leaf(bytes), ...noMetadata };
  if (cid.code !== DAG_PB) return undefined;
  return decoded(cid, bytes, (node) => {
    const data = node.kind === 'dag-pb' ? node.data : undefined;
    const unixfs = unixfsOf(data);
    if (node.kind !== 'dag-pb' || unixfs === undefined) return undefined;
    const metadata = metadataOf(bytes);
    switch (unixfs.type) {
      case 'file':
      case 'raw':
        return { kind: 'file', ...partOf(unixfs, node.links), ...metadata };
      case 'directory':
        return { kind: 'directory', links: node.links.map(namedLink), ...metadata };
      case 'hamt-sharded-directory': {
        const shard = shardOf(data);
        return shard && { kind: 'shard', shard, links: node.links.map(namedLink), ...metadata };
      }
      case 'symlink':
        return { kind: 'symlink', target: targetOf(unixfs), ...metadata };
      default:
        return undefined;
    }
  });
}

/** A block below the root of a file. Throws INVALID_DAG, also when it does not have as many bytes as the file says. */
export function filePartOf(cid: CID, bytes: Uint8Array, size: bigint): FilePart {
  const part = cid.code === RAW ? leaf(bytes) : decodedPart(cid, bytes);
  if (part === undefined) throw invalid(cid, 'stands in a file and is no part of one');
  if (part.size === size) return part;
  throw invalid(cid, `has ${part.size} bytes of a file that says it has ${size} there`);
}

function decodedPart(cid: CID, bytes: Uint8Array): FilePart | undefined {
  if (cid.code !== DAG_PB) return undefined;
  return decoded(cid, bytes, (node) => {
    if (node.kind !== 'dag-pb') return undefined;
    const unixfs = unixfsOf(node.data);
    return unixfs?.type === 'file' || unixfs?.type === 'raw' ? partOf(unixfs, node.links) : undefined;
  });
}

function leaf(data: Uint8Array): FilePart {
  return { data, parts: [], size: BigInt(data.length) };
}

/** What has no bytes is left out, so that there is an end to what can be below a file of some bytes. */
function partOf(unixfs: UnixFS, links: readonly PBLink[]): FilePart {
  const { data = new Uint8Array(), blockSizes } = unixfs;
  if (blockSizes.length !== links.length) throw new RangeError('as many sizes as links');
  const parts = links.map(({ Hash }, at) => ({ cid: asCid(Hash), size: blockSizes[at] as bigint }));
  return { data, parts: parts.filter(({ size }) => size > 0n), size: unixfs.fileSize() };
}

function targetOf({ data }: UnixFS): string {
  const target = new TextDecoder('utf-8', { fatal: true }).decode(data);
  if (target === '' || target.includes('\0')) throw new RangeError('a symbolic link that leads nowhere');
  return target;
}

/** dag-pb has more uses than UnixFS. */
function unixfsOf(data: Uint8Array | undefined): UnixFS | undefined {
  try {
    return data && UnixFS.unmarshal(data);
  } catch {
    return undefined;
  }
}

/** The library's own reading gives a mode to what has none. */
function metadataOf(bytes: Uint8Array): Metadata {
  const { mode, mtime } = Node.decode(bytes).data ?? {};
  return {
    mode,
    mtime: mtime && { seconds: mtime.seconds ?? 0n, nanoseconds: mtime.fractionalNanoseconds ?? 0 },
  };
}

function namedLink({ Name = '', Hash }: PBLink): NamedLink {
  return { name: Name, cid: asCid(Hash) };
}

function invalid(cid: CID, what: string): ConnectorError {
  return new ConnectorError('INVALID_DAG', `the block ${formatCid(cid.bytes)} ${what}`);
}
