import type { PBLink } from '@ipld/dag-pb';
import type { CID } from 'multiformats/cid';
import { formatCid } from '../../model/cid.ts';
import { ConnectorError } from '../connector.ts';
import { PATH_BLOCKS_MAX, PATH_BYTES_MAX } from '../constants.ts';
import { ShardLookup, shardOf } from './hamt.ts';
import { asCid, type DecodedNode, decoded } from './links.ts';

/** Hands out the bytes of a block, checked. Rejects when it cannot, which ends the resolution. */
export type LoadBlock = (cid: CID) => Promise<Uint8Array>;

/** Where one block leads to: on to another one with what is left of the path, or to a value inside of it. */
type Step =
  | { kind: 'link'; cid: CID; rest: readonly string[]; lookup?: ShardLookup }
  | { kind: 'inside' }
  /** There is no such segment. */
  | { kind: 'missing'; segment: string };

/**
 * Follows a path from block to block. The block at its end is not loaded. `rest` is what of the path lies inside the block of that CID.
 * Rejects with NO_LINK, INVALID_DAG, FAILED above the limits, or what `load` rejects with.
 */
export async function resolvePath(
  root: CID,
  segments: readonly string[],
  load: LoadBlock,
): Promise<{ cid: CID; rest: readonly string[] }> {
  let [cid, rest] = [root, segments];
  let [blocks, bytes] = [0, 0];
  /** Within a sharded directory: of how far the name at the beginning of `rest` is found. And the CID of its root. */
  let lookup: ShardLookup | undefined;
  let directory = root;
  while (rest.length > 0) {
    const block = await load(cid);
    bytes += block.length;
    if (++blocks > PATH_BLOCKS_MAX || bytes > PATH_BYTES_MAX) throw tooFar(blocks, bytes);
    if (lookup === undefined) directory = cid;
    const step = decoded(cid, block, (node) => stepFrom(node, rest, lookup));
    if (step.kind === 'inside') break;
    if (step.kind === 'missing') {
      throw new ConnectorError('NO_LINK', `there is no "${step.segment}" in ${formatCid(directory.bytes)}`);
    }
    ({ cid, rest, lookup } = { lookup: undefined, ...step });
  }
  return { cid, rest };
}

function stepFrom(node: DecodedNode, path: readonly string[], lookup: ShardLookup | undefined): Step {
  switch (node.kind) {
    case 'leaf':
      return missing(path);
    case 'dag-pb':
      return stepByName(node, path, lookup);
    case 'value':
      return stepInValue(node, path);
  }
}

/** Through a directory, sharded or not, and any other dag-pb by the names of its links. Of two with one name the first counts. */
function stepByName(
  { links, data }: DecodedNode & { kind: 'dag-pb' },
  path: readonly string[],
  lookup: ShardLookup | undefined,
): Step {
  const [segment = '', ...rest] = path;
  const onTo = ({ Hash }: PBLink): Step => ({ kind: 'link', cid: asCid(Hash), rest });
  const shard = shardOf(data);
  if (shard === undefined) {
    if (lookup !== undefined) throw new TypeError('a shard leads to what is no shard');
    const found = links.find(({ Name }) => Name === segment);
    return found === undefined ? missing(path) : onTo(found);
  }
  const shards = lookup ?? new ShardLookup(segment);
  const found = shards.find(shard, links);
  if (found === undefined) return missing(path);
  return found.isEntry ? onTo(found.link) : { kind: 'link', cid: asCid(found.link.Hash), rest: path, lookup: shards };
}

/** Through the maps, lists and links of dag-cbor and dag-json, up to the first link. */
function stepInValue({ value: root, linkOf }: DecodedNode & { kind: 'value' }, path: readonly string[]): Step {
  let value = root;
  for (let at = 0; ; at++) {
    const isObject = typeof value === 'object' && value !== null;
    const cid = isObject ? linkOf(value as object) : undefined;
    if (cid !== undefined) return { kind: 'link', cid, rest: path.slice(at) };
    const segment = path[at];
    if (segment === undefined) return { kind: 'inside' };
    const child = isObject ? childOf(value as object, segment) : undefined;
    if (child === undefined) return missing(path.slice(at));
    value = child.value;
  }
}

function childOf(parent: object, segment: string): { value: unknown } | undefined {
  if (parent instanceof Uint8Array) return undefined;
  // Of a list the indexes, and not what it has besides them in this language.
  if (Array.isArray(parent) && !/^(0|[1-9]\d*)$/.test(segment)) return undefined;
  if (!Object.hasOwn(parent, segment)) return undefined;
  return { value: (parent as Record<string, unknown>)[segment] };
}

function missing([segment = '']: readonly string[]): Step {
  return { kind: 'missing', segment };
}

function tooFar(blocks: number, bytes: number): ConnectorError {
  return new ConnectorError(
    'FAILED',
    `the path leads through ${blocks} blocks of ${bytes} bytes; at most ${PATH_BLOCKS_MAX} and ${PATH_BYTES_MAX} are followed`,
  );
}
