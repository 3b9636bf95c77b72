import type { Connector } from '../ipfs/connector.ts';
import { nodeError } from '../ipfs/node-error.ts';
import type { CallContext } from '../model/call-context.ts';
import { checkCid, formatCid } from '../model/cid.ts';
import { type ContentPath, formatPath, invalidPath, parseContentPath } from '../model/content-path.ts';
import { PinfoldError } from '../model/errors.ts';
import { checkOrigins } from '../model/validate-pin.ts';
import type { Pinset } from '../pinset/pinset.ts';
import { unlessCorrupt } from '../pinset/rows.ts';
import { RESOLVE_STALL_MS, RESOLVES_MAX } from './constants.ts';

/** Paths to content, by the IPFS node of this peer. */
export interface Resolving {
  /**
   * Rejects with INVALID_PATH, INVALID_CID, PATH_NOT_FOUND, NAMES_UNSUPPORTED, LIMIT_REACHED (too many at once), what the node fails
   * with, or by abort.
   */
  resolve(query: ResolveQuery, call: CallContext): Promise<ResolvedPath>;
  /** The CID of the block that the path leads to; INVALID_PATH, too, when it leads into a block. */
  block(query: ResolveQuery, call: CallContext): Promise<Uint8Array>;
}

export interface ResolveQuery {
  /** `/ipfs/CID/a/b`, and what else `parseContentPath` takes. */
  path: string;
  /** Multiaddrs (with /p2p/) of who has the content, besides the nodes of the cluster. */
  origins: readonly string[];
}

export interface ResolvedPath {
  cid: Uint8Array;
  /** What of the path lies inside that block. */
  rest: readonly string[];
}

export interface ResolvingNeeds {
  connector: Pick<Connector, 'resolve'>;
  pinset: Pick<Pinset, 'claims'>;
  /** Addresses of the IPFS nodes of these other peers; without any: of all. */
  addresses: (peerIds: readonly string[]) => readonly string[];
}

export function resolving({ connector, pinset, addresses }: ResolvingNeeds): Resolving {
  let underWay = 0;

  /** Where the cluster has pinned what the path begins with, its blocks are; otherwise any node may have them. */
  function sourcesOf(path: ContentPath): readonly string[] {
    const claims = path.kind === 'ipfs' ? (unlessCorrupt(() => pinset.claims(path.root)) ?? []) : [];
    const pins = claims.flatMap(({ pin }) => (pin.mode === 'recursive' ? [pin] : []));
    const isEverywhere = pins.some(({ allocations }) => allocations.length === 0);
    const peerIds = isEverywhere ? [] : pins.flatMap(({ allocations }) => allocations);
    const there = addresses(peerIds);
    return [...pins.flatMap(({ origins }) => origins), ...(there.length > 0 ? there : addresses([]))];
  }

  async function byNode(path: ContentPath, origins: readonly string[], call: CallContext): Promise<ResolvedPath> {
    if (underWay >= RESOLVES_MAX) {
      throw new PinfoldError('LIMIT_REACHED', `this peer is resolving ${RESOLVES_MAX} paths already; try again later`);
    }
    underWay++;
    try {
      const sources = [...new Set([...origins, ...sourcesOf(path)])];
      const options = { sources, stallTimeoutMs: RESOLVE_STALL_MS, signal: call.signal };
      return await connector.resolve(path, options);
    } catch (cause) {
      throw nodeError(cause);
    } finally {
      underWay--;
    }
  }

  async function resolve({ path, origins }: ResolveQuery, call: CallContext): Promise<ResolvedPath> {
    const parsed = parseContentPath(path);
    checkOrigins('origins', origins);
    const resolved = await byNode(parsed, origins, call);
    checkCid(resolved.cid, 'path');
    return resolved;
  }

  return {
    resolve,

    async block(query, call) {
      const { cid, rest } = await resolve(query, call);
      if (rest.length === 0) return cid;
      const inside = formatPath(cid, rest);
      throw invalidPath('path', `leads to a value inside a block, ${inside}; the block itself is ${formatCid(cid)}`);
    },
  };
}
