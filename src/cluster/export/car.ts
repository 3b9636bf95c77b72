import type { CID } from 'multiformats/cid';
import { ConnectorError } from '../../ipfs/connector.ts';
import { WALK_BLOCKS_MAX, WALK_PENDING_MAX } from '../../ipfs/constants.ts';
import { carHeader, carSection } from '../../ipfs/dag/car-writer.ts';
import { DigestSet } from '../../ipfs/dag/digest-set.ts';
import { IDENTITY_CODE } from '../../ipfs/dag/hashers.ts';
import { linksOf } from '../../ipfs/dag/links.ts';
import { toV1 } from '../../model/cid.ts';
import { UPCOMING_LOOKED_AT_MAX } from './constants.ts';
import type { ReadAhead } from './read-ahead.ts';

/** A whole DAG as a CAR in pieces: depth first, each block once. Blocks that are in their CIDs are left out. */
export async function* carOf(root: CID, blocks: ReadAhead): AsyncGenerator<Uint8Array> {
  yield carHeader([root]);
  const told = new DigestSet(WALK_BLOCKS_MAX);
  const pending: CID[] = [root];
  for (let cid = pending.pop(); cid !== undefined; cid = pending.pop()) {
    if (!isNew(cid, told)) continue;
    const bytes = await blocks.next(cid, untold(pending, told));
    if (cid.multihash.code !== IDENTITY_CODE) yield* carSection(cid, bytes);
    const links = linksOf(cid, bytes);
    if (pending.length + links.length > WALK_PENDING_MAX) throw tooBig(`more than ${WALK_PENDING_MAX} links wait`);
    for (let at = links.length - 1; at >= 0; at--) pending.push(links[at] as CID);
  }
}

function isNew(cid: CID, told: DigestSet): boolean {
  try {
    return told.add(toV1(cid.bytes));
  } catch (cause) {
    throw tooBig((cause as Error).message);
  }
}

/** What comes next, as far as it is worth looking for: a DAG may link to the same blocks again and again. */
function* untold(pending: readonly CID[], told: DigestSet): Generator<CID> {
  for (let at = pending.length - 1; at >= Math.max(0, pending.length - UPCOMING_LOOKED_AT_MAX); at--) {
    const cid = pending[at] as CID;
    if (cid.multihash.code !== IDENTITY_CODE && !told.has(toV1(cid.bytes))) yield cid;
  }
}

function tooBig(what: string): ConnectorError {
  return new ConnectorError('FAILED', `the DAG is too big to be exported: ${what}`);
}
