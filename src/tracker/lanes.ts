import { mark } from '../runtime/mark.ts';
import type { Job } from './attempt.ts';
import { RETRY_PART_MAX, RETRY_SHARE } from './constants.ts';
import { FairQueue } from './fair-queue.ts';
import type { DueLane, PieceId } from './tables.ts';
import type { Occasion, Wanted } from './wish.ts';

/** `front`: asked for by a person. `retry`: has failed before, or has waited. */
export type LaneName = 'front' | 'fresh' | 'retry';

/** Wishes that were taken together: one row of the intake, which goes when all of them are settled. */
export interface Piece extends PieceId {
  readonly source: 'feed' | 'walk';
  open: number;
}

export interface Entry {
  readonly key: string;
  readonly cid: Uint8Array;
  want: Wanted;
  lane: LaneName;
  /** Whose turn it takes: see `flowOf`. */
  flow: number;
  /** Flushes that must end before it may begin. */
  holds: number;
  readonly pieces: Piece[];
  hasRow: boolean;
  /** The node may hold it through an attempt of ours. */
  maybeHeld: boolean;
  /** Something else of the wish changed during the job: a failure is followed by another attempt at once. */
  isAgain: boolean;
  isQueued: boolean;
  job: Job | undefined;
}

type Queues = Record<LaneName, FairQueue<Entry>>;

/**
 * What waits to begin, by lane, pins and unpins apart. Fresh work goes first; one pin of eight is a retry while both
 * wait, and retries never take more than half of the places, so that fresh work finds one. In each lane namespaces take turns.
 */
export class Lanes {
  readonly #queues: Record<DueLane, Queues> = { pin: newQueues(), unpin: newQueues() };
  readonly #running = { pin: 0, unpin: 0 };
  #runningRetries = 0;
  #picks = 0;

  retries(lane: DueLane, flow: number): number {
    return this.#queues[lane].retry.lengthOf(flow);
  }

  underWay(lane: DueLane): number {
    return this.#running[lane];
  }

  add(entry: Entry): void {
    entry.isQueued = true;
    this.#queueOf(entry).push(entry);
  }

  /** Somebody asks for it: it goes before what has only failed before. */
  toFront(entry: Entry): void {
    this.#moved(entry, () => {
      entry.lane = 'front';
    });
  }

  /** A claim of another namespace is on it as well: it waits with those of whom fewer wait. */
  toFlow(entry: Entry, flow: number): void {
    const queue = this.#queueOf(entry);
    if (queue.lengthOf(flow) >= queue.lengthOf(entry.flow)) return;
    this.#moved(entry, () => {
      entry.flow = flow;
    });
  }

  /** Entries before that one in its lane. 0 also for one that is to be unpinned instead since it began to wait. */
  ahead(entry: Entry): number {
    return this.#queueOf(entry).ahead(entry);
  }

  /** The next that may begin; it is not in a lane any more. */
  next(pinsMax: number, unpinsMax: number): Entry | undefined {
    const entry =
      (this.#running.unpin < unpinsMax ? this.#nextUnpin() : undefined) ??
      (this.#running.pin < pinsMax ? this.#nextPin(pinsMax) : undefined);
    if (entry !== undefined) entry.isQueued = false;
    return entry;
  }

  began(job: Job): void {
    this.#running[job.action]++;
    if (isRetriedPin(job)) this.#runningRetries++;
  }

  ended(job: Job): void {
    this.#running[job.action]--;
    if (isRetriedPin(job)) this.#runningRetries--;
  }

  #moved(entry: Entry, change: () => void): void {
    const wasThere = this.#queueOf(entry).remove(entry);
    change();
    if (wasThere) this.#queueOf(entry).push(entry);
  }

  #queueOf(entry: Entry): FairQueue<Entry> {
    return this.#queues[entry.want.kind === 'pin' ? 'pin' : 'unpin'][entry.lane];
  }

  #nextUnpin(): Entry | undefined {
    const { front, fresh, retry } = this.#queues.unpin;
    return front.shift() ?? fresh.shift() ?? retry.shift();
  }

  #nextPin(pinsMax: number): Entry | undefined {
    const { front, fresh, retry } = this.#queues.pin;
    if (front.length > 0) return front.shift();
    const mayRetry = retry.length > 0 && this.#runningRetries < Math.max(1, Math.floor(pinsMax * RETRY_PART_MAX));
    const isTurn = ++this.#picks % RETRY_SHARE === 0;
    if (mayRetry && (isTurn || fresh.length === 0)) return retry.shift();
    return fresh.shift();
  }
}

function isRetriedPin({ action, lane }: Job): boolean {
  return action === 'pin' && lane === 'retry';
}

function newQueues(): Queues {
  return { front: new FairQueue(), fresh: new FairQueue(), retry: new FairQueue() };
}

/** Tells an entry what is wanted now, and its job, if that does something else. */
export function changeWant(entry: Entry, want: Wanted, occasion: Occasion): void {
  const { job } = entry;
  entry.want = want;
  if (job === undefined) return;
  const isServed = job.action === 'pin' ? want.kind === 'pin' && isSameMode(job.want, want) : want.kind !== 'pin';
  if (!isServed) {
    mark('tracker: an attempt is overtaken by its wish');
    job.isStale = true;
    job.controller.abort(new Error('the wish has changed'));
  } else if (occasion === 'changed' && want.kind === 'pin') {
    entry.isAgain = true;
  }
}

function isSameMode(a: Wanted, b: Wanted): boolean {
  return a.kind === 'pin' && b.kind === 'pin' && a.mode === b.mode;
}
