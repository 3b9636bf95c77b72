import type { Consensus } from '../consensus/consensus.ts';
import { PinfoldError } from '../model/errors.ts';
import type { PinKey } from '../model/pin.ts';
import type { Pinset } from '../pinset/pinset.ts';
import { type Clock, sleep, type Timers } from '../runtime/clock.ts';
import { AHEAD_POLL_MS, AHEAD_WAIT_MS_MAX } from './constants.ts';

export interface ChangedSinceNeeds {
  consensus: Pick<Consensus, 'changedSince'>;
  pinset: Pick<Pinset, 'feed'>;
  clock: Clock;
  timers: Timers;
}

/**
 * Keys of the pins that changed after that position, of any peer, and the revision from which on the feed tells the rest. Waits for what
 * this peer has not seen yet. Throws HISTORY_GONE, PEER_UNREACHABLE.
 */
export async function changedSince(
  { consensus, pinset, clock, timers }: ChangedSinceNeeds,
  position: Uint8Array,
  withinMs: number,
  signal: AbortSignal,
): Promise<{ revision: number; keys: readonly PinKey[] }> {
  const untilMs = clock.monotonicMs() + Math.min(AHEAD_WAIT_MS_MAX, withinMs);
  for (;;) {
    const { revision } = pinset.feed;
    const keys = consensus.changedSince(position);
    if (keys === 'gone')
      throw new PinfoldError('HISTORY_GONE', 'the changes since that resume token are gone; list again');
    if (keys !== 'ahead') return { revision, keys };
    if (clock.monotonicMs() >= untilMs) {
      throw new PinfoldError(
        'PEER_UNREACHABLE',
        'this peer has not yet seen all that the resume token names; try again, or another peer',
      );
    }
    await sleep(timers, AHEAD_POLL_MS, signal);
  }
}
