import type { TrackerStatus } from '../model/status.ts';
import { deadlineSignal } from '../runtime/abort.ts';
import type { Timers } from '../runtime/clock.ts';
import type { Tracker } from '../tracker/tracker.ts';
import { HELD_WAIT_MS_MAX } from './constants.ts';

const open: ReadonlySet<TrackerStatus> = new Set(['pin_queued', 'pinning', 'pin_error']);

/**
 * Resolves when this peer's node is done with pins that were just committed: it has a record of each, or is not to have it any more; at
 * the latest after HELD_WAIT_MS_MAX. CIDs in version 1.
 */
export function heldHere(needs: {
  tracker: Pick<Tracker, 'statuses' | 'feed'>;
  timers: Timers;
}): (cids: readonly Uint8Array[]) => Promise<void> {
  const { tracker, timers } = needs;
  const isDone = (cids: readonly Uint8Array[]) => tracker.statuses(cids).every(({ status }) => !open.has(status));
  return async (cids) => {
    using scope = deadlineSignal(timers, HELD_WAIT_MS_MAX);
    try {
      for (;;) {
        // Taken first: what changes while it is looked is not missed.
        const { revision } = tracker.feed;
        if (isDone(cids)) return;
        await tracker.feed.wait(revision, scope);
      }
    } catch {
      // The time is over, or the tracker has stopped: the blocks are left to the collector.
    }
  };
}
