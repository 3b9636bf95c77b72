import type { TrackerStatus, WishStatus } from '../model/status.ts';
import { deadlineSignal } from '../runtime/abort.ts';
import { jittered, sleep, type Timers } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import { PEER_ANSWER_TIMEOUT_MS, REATTACH_PAUSE_MS, RETRY_MS_MAX, RETRY_MS_MIN } from './constants.ts';
import type { StatusPlace } from './resume-token.ts';
import type { StatusLog } from './status-log.ts';

export interface MemberWatchInit {
  /** Where to go on; undefined: `begin` says how. */
  from: StatusPlace | undefined;
  /**
   *   all     all rows that are there, then changes
   *   asked   what `ask` finds out, then changes: where few pins are watched
   *   none    changes only
   */
  begin: 'all' | 'asked' | 'none';
  /** ... after it was lost, or began anew. */
  again: 'all' | 'asked';
  /** Of what is there, only these; none: all. Changes are handed over whatever they are. */
  statuses: readonly TrackerStatus[];
}

export interface MemberWatchNeeds {
  log: StatusLog;
  /** Statuses of the wishes that are watched, asked of this member. */
  ask: (signal: AbortSignal) => Promise<WishStatus[]>;
  /** Resolves when there is room for more. The place is what is covered with these rows and all before. */
  onRows: (rows: readonly WishStatus[], place: StatusPlace | undefined) => Promise<void>;
  /** What was said of this member is to be forgotten. */
  onReset: () => Promise<void>;
  onLost: (error: unknown) => Promise<void>;
  /** What was there has been handed over, or the member is lost. Called at least once. */
  onCaughtUp: () => void;
  timers: Timers;
  random: Random;
}

/** One member's statuses for one watch, until the signal aborts: it never rejects for a member that is lost, but tries again. */
export async function watchMember(init: MemberWatchInit, needs: MemberWatchNeeds, signal: AbortSignal): Promise<void> {
  const { log, timers } = needs;
  let place = init.from;
  let isFirst = place === undefined;
  let isLost = false;
  let retryMs = RETRY_MS_MIN;
  log.use();
  try {
    for (;;) {
      try {
        const end = await readyInTime(needs, signal);
        if (place === undefined) place = await begin(init, needs, end, !isFirst, signal);
        else if (!log.covers(place)) place = await catchUp(init, needs, place, signal);
        isFirst = false;
        isLost = false;
        retryMs = RETRY_MS_MIN;
        needs.onCaughtUp();
        place = await follow(needs, place, signal);
        await sleep(timers, REATTACH_PAUSE_MS, signal);
      } catch (error) {
        signal.throwIfAborted();
        // Told once; when it comes again it begins with a reset.
        if (!isLost) await needs.onLost(error);
        isLost = true;
        isFirst = false;
        place = undefined;
        needs.onCaughtUp();
        await sleep(timers, jittered(needs.random, retryMs, 0.3), signal);
        retryMs = Math.min(RETRY_MS_MAX, retryMs * 2);
      }
    }
  } finally {
    log.leave();
  }
}

async function readyInTime({ log, timers }: MemberWatchNeeds, signal: AbortSignal): Promise<StatusPlace> {
  using scope = deadlineSignal(timers, PEER_ANSWER_TIMEOUT_MS, signal);
  return await log.ready(scope.signal);
}

/** Hands over what is there. Returns from where to follow the log. */
async function begin(
  init: MemberWatchInit,
  needs: MemberWatchNeeds,
  end: StatusPlace,
  withReset: boolean,
  signal: AbortSignal,
): Promise<StatusPlace> {
  const way = withReset ? init.again : init.begin;
  if (way === 'all') return await catchUp(init, needs, undefined, signal, withReset);
  if (withReset) await needs.onReset();
  // Asked after the log's end was taken: what changes meanwhile comes again by the log.
  const rows = way === 'asked' ? await needs.ask(signal) : [];
  await needs.onRows(rows, end);
  return end;
}

/** By a stream of its own, until the log covers where it stands. */
async function catchUp(
  init: MemberWatchInit,
  needs: MemberWatchNeeds,
  from: StatusPlace | undefined,
  signal: AbortSignal,
  withReset = true,
): Promise<StatusPlace> {
  let isFirst = true;
  for await (const { reset, rows, place } of needs.log.catchUp(from, init.statuses, signal)) {
    // The member could not go on from there, and would send all that it has: for few pins asking is cheaper.
    if (reset && from !== undefined && init.again === 'asked') {
      return await begin(init, needs, await readyInTime(needs, signal), true, signal);
    }
    if (reset && (withReset || !isFirst)) await needs.onReset();
    isFirst = false;
    await needs.onRows(rows, place);
    if (place !== undefined && needs.log.covers(place)) return place;
  }
  throw new Error('the stream of a member ended without a reason');
}

async function follow(needs: MemberWatchNeeds, from: StatusPlace, signal: AbortSignal): Promise<StatusPlace> {
  let place = from;
  for (;;) {
    const next = await needs.log.next(place, signal);
    if (next === 'lost') return place;
    await needs.onRows(next.rows, next.place);
    place = next.place;
  }
}
