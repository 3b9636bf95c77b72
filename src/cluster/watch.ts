import type { Consensus } from '../consensus/consensus.ts';
import type { CallContext } from '../model/call-context.ts';
import { invalidField, PinfoldError } from '../model/errors.ts';
import type { TrackerStatus } from '../model/status.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { PeerRpc } from '../network/network.ts';
import type { PinFilter, Pinset, StoredPin } from '../pinset/pinset.ts';
import type { Clock, Timers } from '../runtime/clock.ts';
import type { MetricsRegister } from '../runtime/metrics.ts';
import type { Random } from '../runtime/random.ts';
import type { Tracker } from '../tracker/tracker.ts';
import type { PeerPinStatus } from './claim-status.ts';
import { WATCHES_MAX } from './constants.ts';
import type { PeerError } from './peer-statuses.ts';
import { PinWatch } from './pin-watch.ts';
import { SharedWatching } from './shared-watching.ts';

/**
 * Pins and their statuses on all members: what there is, then every change, from any peer.
 *
 *   - Steps in between may be left out, the last state never is; what was told may be told again.
 *   - The status of a pin may come before the pin itself. A peer of whose status nothing was told has the pin waiting.
 *   - `pinned` says where the pin lies from now on: what was told of other peers is over, as it all is after `unpinned`.
 *   - `unpinned` is told of every pin that goes from the namespaces and CIDs of the filter: what it was called is not known any more.
 *     A pin that no longer matches by name, metadata or creation is told as unpinned, too.
 *
 * Throws INVALID_TOKEN, HISTORY_GONE, LIMIT_REACHED, PEER_UNREACHABLE (the token names what this peer has not seen yet, and
 * did not in time); later HISTORY_GONE (list again) and SLOW_READER (fact `resumeToken`, base64).
 */
export type WatchPins = (query: WatchQuery, call: CallContext) => AsyncIterable<WatchMessage>;

export interface WatchQuery {
  filter: PinFilter;
  resumeToken: Uint8Array | undefined;
  /** Leave out statuses. */
  pinsOnly: boolean;
  /** Begin with changes from now on. */
  changesOnly: boolean;
  /**
   * None: all. Else only these are told, and when one that was told is another; of pins only changes of those of which a status was told.
   * After a resumption each peer begins anew, with a reset. Not with `pinsOnly`: INVALID_ARGUMENT.
   */
  statuses: readonly TrackerStatus[];
  /** Whose word on statuses; none: that of all members. */
  peerIds: readonly string[];
}

export interface WatchMessage {
  events: WatchEvent[];
  /** Names what was told up to some message before this one, or this one: going on after it misses nothing. */
  resumeToken: Uint8Array | undefined;
  /** Once: what there was when the watch began has been told. */
  caughtUp: boolean;
}

export type WatchEvent =
  | { kind: 'pinned'; stored: StoredPin }
  | { kind: 'unpinned'; cid: Uint8Array; namespace: string }
  | { kind: 'status'; cid: Uint8Array; namespace: string; peer: PeerPinStatus }
  /** Forget what was said of the status on this peer; it comes again. */
  | { kind: 'reset'; peerId: string }
  /** This peer's word is missing from here on; it comes again as a reset. */
  | { kind: 'peer-lost'; error: PeerError };

export interface WatchNeeds {
  peerId: string;
  pinset: Pick<Pinset, 'get' | 'claims' | 'list' | 'feed' | 'flushed'>;
  consensus: Pick<Consensus, 'history' | 'flushedPosition' | 'changedSince'>;
  tracker: Pick<Tracker, 'statuses' | 'listIndexed' | 'listAll' | 'recover' | 'feed'>;
  monitor: Pick<Monitor, 'members' | 'member' | 'onChange'>;
  rpc: Pick<PeerRpc, 'call'>;
  clock: Clock;
  timers: Timers;
  random: Random;
  metrics: MetricsRegister;
}

/** `shared`: what it has in common with others who follow the members' statuses. */
export function watchPins(needs: WatchNeeds, shared = new SharedWatching(needs)): WatchPins {
  needs.metrics.gauge({ name: 'pinfold_watches', help: 'Watches of pins that are open' }, (gauge) => {
    gauge.set(shared.watches);
  });
  return async function* (query, call) {
    if (query.pinsOnly && query.statuses.length > 0) throw invalidField('statuses', 'cannot be watched with pins_only');
    if (shared.watches >= WATCHES_MAX) {
      throw new PinfoldError('LIMIT_REACHED', `${WATCHES_MAX} watches are open on this peer; ask another one`);
    }
    shared.watches++;
    try {
      yield* new PinWatch(needs, shared, query, call).run();
    } finally {
      shared.watches--;
    }
  };
}
