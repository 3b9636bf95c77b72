import { CID } from 'multiformats/cid';
import type { Connector } from '../../ipfs/connector.ts';
import { resolvePath } from '../../ipfs/dag/resolve-path.ts';
import { nodeError } from '../../ipfs/node-error.ts';
import type { CallContext } from '../../model/call-context.ts';
import { formatCid } from '../../model/cid.ts';
import { type ContentPath, formatPath, invalidPath, parseContentPath } from '../../model/content-path.ts';
import { PinfoldError } from '../../model/errors.ts';
import { everywhere, type Pin } from '../../model/pin.ts';
import type { Member, Monitor } from '../../monitor/monitor.ts';
import type { Network } from '../../network/network.ts';
import { mergeSignals } from '../../runtime/abort.ts';
import type { Timers } from '../../runtime/clock.ts';
import type { Pins } from '../pins.ts';
import { BlockReader, ownBlocks } from './block-reader.ts';
import { carOf } from './car.ts';
import { CAR_GATHERED_BYTES, EXPORT_DATA_BYTES_MAX, EXPORT_SOURCES_MAX, EXPORTS_MAX } from './constants.ts';
import { type FilesEvent, filesOf } from './files.ts';
import { PeerBlocks } from './peer-blocks.ts';
import { cut, inPieces } from './pieces.ts';
import { ReadAhead } from './read-ahead.ts';

/** Content that is pinned, given out again. */
export interface Exporting {
  /**
   * Files: each entry, a file's content behind it. CAR: content alone. No piece of content is larger than EXPORT_DATA_BYTES_MAX. Blocks
   * come from the IPFS node here, or from the peers of the pin, and stay in memory no longer than they are needed: a reader that does not
   * read holds the export. Rejects with INVALID_PATH, INVALID_CID, PIN_NOT_FOUND, PATH_NOT_FOUND, INVALID_ARGUMENT (no files, or none
   * that a file system could take), IPFS_FAILED (a block is not to be had, or damaged), LIMIT_REACHED (too many at once), or by abort.
   */
  export(query: ExportQuery, call: CallContext): AsyncIterable<ExportEvent>;
}

export interface ExportQuery {
  namespace: string;
  /** A CID that is pinned, or a path that begins with one. */
  path: string;
  format: 'files' | 'car';
}

export type ExportEvent = FilesEvent;

export interface ExportingNeeds {
  peerId: string;
  connector: Pick<Connector, 'getBlock'>;
  pins: Pick<Pins, 'get'>;
  monitor: Pick<Monitor, 'members' | 'member'>;
  network: Pick<Network, 'connected' | 'rpc'>;
  timers: Timers;
}

export function exporting(needs: ExportingNeeds): Exporting {
  let underWay = 0;
  return {
    async *export(query, call) {
      const path = pathOf(query.path);
      const { pin } = needs.pins.get(path.root, query.namespace, call);
      if (underWay >= EXPORTS_MAX) {
        throw new PinfoldError('LIMIT_REACHED', `this peer exports ${EXPORTS_MAX} DAGs already; try again later`);
      }
      underWay++;
      using scope = mergeSignals(call.signal);
      try {
        yield* exported(path, query.format, readerOf(needs, pin, scope.signal));
      } catch (cause) {
        call.signal.throwIfAborted();
        throw nodeError(cause);
      } finally {
        scope.abort(new PinfoldError('CANCELLED', 'the export has ended'));
        underWay--;
      }
    },
  };
}

async function* exported(
  path: ContentPath & { kind: 'ipfs' },
  format: ExportQuery['format'],
  reader: BlockReader,
): AsyncGenerator<ExportEvent> {
  const root = await endOf(path, reader);
  const blocks = new ReadAhead(reader.get);
  if (format === 'car') {
    const limits = { gatherBytes: CAR_GATHERED_BYTES, bytesMax: EXPORT_DATA_BYTES_MAX };
    for await (const bytes of inPieces(carOf(root, blocks), limits)) yield { kind: 'data', bytes };
    return;
  }
  for await (const event of filesOf(root, blocks)) {
    if (event.kind === 'entry') yield event;
    else for (const bytes of cut(event.bytes, EXPORT_DATA_BYTES_MAX)) yield { kind: 'data', bytes };
  }
}

/** A name would have to be resolved first, and then lead to what is pinned: nothing that could be relied on. */
function pathOf(text: string): ContentPath & { kind: 'ipfs' } {
  const path = parseContentPath(text);
  if (path.kind === 'ipfs') return path;
  throw invalidPath('path', 'begins with a name; it must begin with a CID that is pinned');
}

async function endOf(path: ContentPath & { kind: 'ipfs' }, reader: BlockReader): Promise<CID> {
  const { cid, rest } = await resolvePath(CID.decode(path.root), path.segments, reader.get);
  if (rest.length === 0) return cid;
  const inside = formatPath(cid.bytes, rest);
  throw invalidPath('path', `leads to a value inside a block, ${inside}; the block itself is ${formatCid(cid.bytes)}`);
}

function readerOf(needs: ExportingNeeds, pin: Pin, signal: AbortSignal): BlockReader {
  const others = sourcesOf(needs, pin).map(
    ({ peerId, name }) =>
      new PeerBlocks({ peerId, name: `${name} (${peerId})`, signal }, { rpc: needs.network.rpc, timers: needs.timers }),
  );
  return new BlockReader({ sources: [ownBlocks(needs.connector, signal), ...others], signal }, needs);
}

/** The other peers that hold the pin, those that are most likely to answer first. */
function sourcesOf({ monitor, network, peerId }: ExportingNeeds, pin: Pin): { peerId: string; name: string }[] {
  const members = new Map(monitor.members().map((member) => [member.peerId, member]));
  const peerIds = pin.replicationMin === everywhere ? [...members.keys()] : pin.allocations;
  const connected = new Set(network.connected());
  const rank = (id: string) => healthRank(members.get(id)) + (connected.has(id) ? 0 : 3);
  return peerIds
    .filter((id) => id !== peerId)
    .toSorted((a, b) => rank(a) - rank(b))
    .slice(0, EXPORT_SOURCES_MAX)
    .map((id) => ({ peerId: id, name: members.get(id)?.name || 'a peer' }));
}

function healthRank(member: Member | undefined): number {
  if (member?.health === 'up') return 0;
  return member?.health === 'suspect' ? 1 : 2;
}
