import type { CID } from 'multiformats/cid';
import { toV1 } from '../../model/cid.ts';
import { mergeSignals } from '../../runtime/abort.ts';
import { type CallOptions, ConnectorError } from '../connector.ts';
import { WALK_PENDING_MAX } from '../constants.ts';
import type { DigestSet } from './digest-set.ts';
import { isLeaf, linksOf } from './links.ts';

export interface WalkNeeds {
  /** Makes sure that the block is there. Rejects when it is not, which ends the walk. */
  present(cid: CID, options: CallOptions): Promise<void>;
  /** The same, and hands out its bytes, for blocks that can link on. */
  load(cid: CID, options: CallOptions): Promise<Uint8Array>;
  /** How many blocks to be at, at once; may change while walking. At least 1. */
  concurrency(): number;
  /** Remembers what was visited. Afterwards it has the multihash of every block of the DAG. */
  visited: DigestSet;
  signal: AbortSignal;
  /** Called once for each distinct CID. */
  onBlock?(): void;
}

/**
 * Visits every block of a DAG once, depth first and several at a time, and resolves when all were there. Rejects with
 * the first failure after everything that it had started has ended.
 */
export async function walkDag(root: CID, needs: WalkNeeds): Promise<void> {
  const pending: CID[] = [root];
  let running = 0;
  let failed = false;
  let failure: unknown;
  let wake = () => {};
  using scope = mergeSignals(needs.signal);

  const visit = async (cid: CID) => {
    const links = await linksBelow(cid, needs, scope);
    needs.onBlock?.();
    if (pending.length + links.length > WALK_PENDING_MAX) throw tooBig(`more than ${WALK_PENDING_MAX} links wait`);
    for (let at = links.length - 1; at >= 0; at--) pending.push(links[at] as CID);
  };
  const fail = (cause: unknown) => {
    if (failed) return;
    failed = true;
    failure = cause;
    scope.abort(cause);
  };
  const start = (cid: CID) => {
    running++;
    visit(cid)
      .catch(fail)
      .finally(() => {
        running--;
        wake();
      });
  };

  while (running > 0 || (pending.length > 0 && !failed)) {
    try {
      needs.signal.throwIfAborted();
      while (!failed && pending.length > 0 && running < needs.concurrency()) {
        const cid = pending.pop() as CID;
        if (isNew(cid, needs.visited)) start(cid);
      }
    } catch (cause) {
      fail(cause);
    }
    if (running > 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  if (failed) throw failure;
}

/**
 * One multihash may be seen through several codecs, with other links through each: what has links counts by its whole
 * CID, what has none by its multihash. The multihash is noted in either case: it is what the block store deletes by.
 */
function isNew(cid: CID, visited: DigestSet): boolean {
  try {
    const isNewHash = visited.add(cid.multihash.bytes);
    return isLeaf(cid) ? isNewHash : visited.add(toV1(cid.bytes));
  } catch (cause) {
    throw tooBig((cause as Error).message);
  }
}

async function linksBelow(cid: CID, needs: WalkNeeds, options: CallOptions): Promise<CID[]> {
  if (!isLeaf(cid)) return linksOf(cid, await needs.load(cid, options));
  await needs.present(cid, options);
  return [];
}

function tooBig(what: string): ConnectorError {
  return new ConnectorError('FAILED', `the DAG is too big to be checked: ${what}`);
}
