import * as dagCbor from '@ipld/dag-cbor';
import * as dagPb from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { formatCid } from '../../model/cid.ts';
import { ConnectorError } from '../connector.ts';
import { IPLD_DEPTH_MAX } from '../constants.ts';

export const RAW = 0x55;
export const DAG_PB = dagPb.code;
const CBOR = 0x51;
const JSON_CODE = 0x0200;
const DAG_JSON = 0x0129;

/** Codecs whose blocks have no links by definition: their presence is enough. */
const leafCodecs: ReadonlySet<number> = new Set([RAW, CBOR, JSON_CODE]);

export function isLeaf(cid: CID): boolean {
  return leafCodecs.has(cid.code);
}

/** Whether it can be told what such a block links to. */
export function isKnownCodec(cid: CID): boolean {
  return isLeaf(cid) || cid.code === DAG_PB || cid.code === dagCbor.code || cid.code === DAG_JSON;
}

/**
 * What a block links to, in its order, doubles kept. A block of a codec that is not known here cannot be shown to be
 * complete, so it is INVALID_DAG like one that cannot be decoded, and not taken for a leaf.
 */
export function linksOf(cid: CID, bytes: Uint8Array): CID[] {
  return decoded(cid, bytes, (node) => {
    if (node.kind === 'leaf') return [];
    if (node.kind === 'dag-pb') return node.links.map(({ Hash }) => asCid(Hash));
    return collect(node.value, node.linkOf);
  });
}

/** A block as its codec has it. */
export type DecodedNode =
  | { kind: 'leaf' }
  | { kind: 'dag-pb'; links: dagPb.PBLink[]; data: Uint8Array | undefined }
  /** `linkOf` tells of a value whether it is a link. */
  | { kind: 'value'; value: unknown; linkOf: (value: object) => CID | undefined };

/** What `read` makes of a block; what it throws counts, too, as a block that cannot be decoded. Throws INVALID_DAG. */
export function decoded<T>(cid: CID, bytes: Uint8Array, read: (node: DecodedNode) => T): T {
  let node: DecodedNode | undefined;
  try {
    node = decode(cid, bytes);
    if (node !== undefined) return read(node);
  } catch (cause) {
    if (cause instanceof ConnectorError) throw cause;
    throw invalid(cid, `cannot be decoded (${(cause as Error).message})`, cause);
  }
  throw invalid(cid, `has the codec 0x${cid.code.toString(16)}, which is not known here`);
}

function decode(cid: CID, bytes: Uint8Array): DecodedNode | undefined {
  if (isLeaf(cid)) return { kind: 'leaf' };
  switch (cid.code) {
    case DAG_PB: {
      const { Links: links, Data: data } = dagPb.decode(bytes);
      return { kind: 'dag-pb', links, data };
    }
    case dagCbor.code:
      return { kind: 'value', value: dagCbor.decode(bytes), linkOf: cborLink };
    case DAG_JSON:
      return {
        kind: 'value',
        value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)),
        linkOf: jsonLink,
      };
  }
  return undefined;
}

export function asCid(value: unknown): CID {
  const cid = CID.asCID(value);
  if (cid === null) throw new TypeError('a link is not a CID');
  return cid;
}

/** Without recursion: nesting comes from strangers. */
function collect(root: unknown, link: (value: object) => CID | undefined): CID[] {
  const links: CID[] = [];
  const stack: [unknown, number][] = [[root, 0]];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [value, depth] = next;
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) continue;
    if (depth > IPLD_DEPTH_MAX) throw new RangeError(`nested deeper than ${IPLD_DEPTH_MAX}`);
    const cid = link(value);
    if (cid !== undefined) links.push(cid);
    else for (const child of Object.values(value).reverse()) stack.push([child, depth + 1]);
  }
  return links;
}

/** As the decoder makes them. Not `asCID`: that takes a map with the same text under "/" and "bytes" for a CID, too. */
function cborLink(value: object): CID | undefined {
  return value instanceof CID ? value : undefined;
}

/** https://ipld.io/specs/codecs/dag-json/spec/#links: a map with the one key "/" and a text. */
function jsonLink(value: object): CID | undefined {
  const text = (value as Record<string, unknown>)['/'];
  if (typeof text !== 'string' || Object.keys(value).length !== 1) return undefined;
  return CID.parse(text);
}

function invalid(cid: CID, what: string, cause?: unknown): ConnectorError {
  return new ConnectorError('INVALID_DAG', `the block ${formatCid(cid.bytes)} ${what}`, { cause });
}
