import { CID } from 'multiformats/cid';
import { formatCid } from '../model/cid.ts';
import { mergeSignals } from '../runtime/abort.ts';
import type { Clock, Timers } from '../runtime/clock.ts';
import { type CallOptions, type Connector, ConnectorError, type Resolved, type ResolveOptions } from './connector.ts';
import { resolvePath } from './dag/resolve-path.ts';
import { stallWatch } from './stall-watch.ts';
import { wishCid } from './wish-cid.ts';

export interface PathResolutionNeeds {
  /** From the node's own store. */
  local: (cid: CID, options: CallOptions) => Promise<Uint8Array | undefined>;
  /** From other nodes. */
  fetch: (cid: CID, options: CallOptions) => Promise<Uint8Array>;
  connect: Connector['connect'];
  /** Asks again for what is wanted, where that helps. */
  reask?: () => void;
  clock: Clock;
  timers: Timers;
}

/** `Connector.resolve` for a path from a CID, over the blocks of whatever node. */
export async function resolveFrom(
  root: Uint8Array,
  segments: readonly string[],
  options: ResolveOptions,
  needs: PathResolutionNeeds,
): Promise<Resolved> {
  // What could never be checked is refused, at the beginning and on the way, and not waited for.
  wishCid(root);
  using scope = mergeSignals(options.signal);
  const { signal } = scope;
  let wanted: CID | undefined;
  // Only when a block is missing: what is here need not wait for anybody. Rejects only by abort, and then the walk tells of it.
  const connect = () => void needs.connect(options.sources, { signal }).catch(() => {});
  const watch = stallWatch(needs, {
    stallTimeoutMs: options.stallTimeoutMs,
    onQuiet: () => {
      connect();
      needs.reask?.();
    },
    onStalled: () => scope.abort(stallError(wanted, options.stallTimeoutMs)),
  });
  const load = async (cid: CID) => {
    signal.throwIfAborted();
    wishCid(cid.bytes);
    watch.progress();
    const local = await needs.local(cid, { signal });
    if (local !== undefined) return local;
    if (wanted === undefined) connect();
    wanted = cid;
    return needs.fetch(cid, { signal });
  };
  try {
    const { cid, rest } = await resolvePath(CID.decode(root), segments, load);
    return { cid: cid.bytes, rest };
  } finally {
    watch.stop();
    // Ends the dialling, too.
    scope.abort(new ConnectorError('FAILED', 'the path is resolved'));
  }
}

function stallError(wanted: CID | undefined, stallTimeoutMs: number): ConnectorError {
  const what = wanted === undefined ? 'the IPFS node did not answer' : `no IPFS node sent ${formatCid(wanted.bytes)}`;
  return new ConnectorError('NO_PROVIDER', `${what} within ${stallTimeoutMs} ms; the path leads through it`);
}
