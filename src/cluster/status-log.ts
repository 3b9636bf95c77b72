import { create } from '@bufbuild/protobuf';
import {
  type WatchStatusRequest,
  WatchStatusRequestSchema,
  type WatchStatusResponse,
} from '../../gen/pinfold/peer/v1/service_pb.ts';
import { equalBytes } from '../model/bytes.ts';
import { PinfoldError } from '../model/errors.ts';
import type { TrackerStatus, WishStatus } from '../model/status.ts';
import type { PeerRpc } from '../network/network.ts';
import { deadlineSignal, mergeSignals, raceSignal, type ScopedSignal } from '../runtime/abort.ts';
import type { Timers } from '../runtime/clock.ts';
import type { Tracker } from '../tracker/tracker.ts';
import {
  CATCH_UPS_PER_PEER_MAX,
  PEER_ANSWER_TIMEOUT_MS,
  PEER_STREAM_TIMEOUT_MS,
  STATUS_LOG_ROWS_MAX,
} from './constants.ts';
import type { StatusPlace } from './resume-token.ts';
import { leave, watchStatus } from './status-handlers.ts';
import { fromStatusRow, statusMessage, wrongAnswer } from './status-rows.ts';

export interface StatusLogNeeds {
  /** This peer's own ID. */
  peerId: string;
  tracker: Pick<Tracker, 'statuses' | 'listIndexed' | 'listAll' | 'recover' | 'feed'>;
  rpc: Pick<PeerRpc, 'call'>;
  timers: Timers;
}

/** One message of a member's stream. Without a place it is in the middle of what was there. */
export interface StatusMessage {
  reset: boolean;
  rows: readonly WishStatus[];
  place: StatusPlace | undefined;
  caughtUp: boolean;
}

interface LogEntry {
  to: StatusPlace;
  rows: readonly WishStatus[];
}

/**
 * The last status changes of one member, shared by all watches here: one stream for all. A watch that stands
 * further back than the log reaches catches up by a stream of its own. It ends with its last user.
 */
export class StatusLog {
  readonly peerId: string;
  readonly #needs: StatusLogNeeds;
  #entries: LogEntry[] = [];
  #rows = 0;
  #start: StatusPlace | undefined;
  #end: StatusPlace | undefined;
  #upstream: { abort: AbortController; ready: Promise<void>; changed: PromiseWithResolvers<void> } | undefined;
  #users = 0;
  #catchUps = 0;
  #waiting: (() => void)[] = [];

  constructor(needs: StatusLogNeeds, peerId: string) {
    this.#needs = needs;
    this.peerId = peerId;
  }

  get users(): number {
    return this.#users;
  }

  use(): void {
    this.#users++;
  }

  /** With the last user the stream ends. */
  leave(): void {
    this.#users--;
    if (this.#users === 0) this.#close(new Error('nobody watches'));
  }

  /** Resolves with the log's end when the member's stream runs. Rejects when the member does not answer. */
  async ready(signal: AbortSignal): Promise<StatusPlace> {
    this.#upstream ??= this.#open();
    await raceSignal(this.#upstream.ready, signal);
    if (this.#end === undefined) throw new PinfoldError('PEER_UNREACHABLE', 'the stream of the member ended');
    return this.#end;
  }

  /** Whether all changes after that place are here. One in the middle of an entry is not known to be of the same feed. */
  covers(place: StatusPlace): boolean {
    if (this.#start === undefined) return false;
    const known = this.#start.revision === place.revision ? this.#start : this.#entryTo(place.revision)?.to;
    return known !== undefined && isSame(known, place);
  }

  /** The changes after a place that is covered; waits for some. 'lost' when the stream ended or has moved past that place. */
  async next(place: StatusPlace, signal: AbortSignal): Promise<{ rows: WishStatus[]; place: StatusPlace } | 'lost'> {
    for (;;) {
      const end = this.#end;
      const upstream = this.#upstream;
      if (end === undefined || upstream === undefined || !this.covers(place)) return 'lost';
      if (place.revision < end.revision) {
        const later = this.#entries.slice(this.#indexAfter(place.revision));
        return { rows: later.flatMap(({ rows }) => rows), place: end };
      }
      await raceSignal(upstream.changed.promise, signal);
    }
  }

  /** A stream of one's own, from a place or from the start (then of what is there only these statuses, if any). Waits for its turn. */
  async *catchUp(
    from: StatusPlace | undefined,
    statuses: readonly TrackerStatus[],
    signal: AbortSignal,
  ): AsyncIterable<StatusMessage> {
    await this.#turn(signal);
    using scope = mergeSignals(signal);
    try {
      const request = create(WatchStatusRequestSchema, {
        ...(from === undefined
          ? {}
          : { storeIncarnation: from.incarnation, revision: BigInt(from.revision), mark: from.mark }),
        statuses: statuses.map(statusMessage),
      });
      yield* this.#messages(request, scope.signal);
    } finally {
      scope.abort(new Error('caught up'));
      this.#catchUps--;
      this.#waiting.shift()?.();
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    while (this.#catchUps >= CATCH_UPS_PER_PEER_MAX) {
      const turn = Promise.withResolvers<void>();
      this.#waiting.push(turn.resolve);
      try {
        await raceSignal(turn.promise, signal);
      } catch (error) {
        const place = this.#waiting.indexOf(turn.resolve);
        // Woken and gone at once: the turn is the next one's.
        if (place < 0) this.#waiting.shift()?.();
        else this.#waiting.splice(place, 1);
        throw error;
      }
    }
    signal.throwIfAborted();
    this.#catchUps++;
  }

  async *#messages(request: WatchStatusRequest, signal: AbortSignal): AsyncIterable<StatusMessage> {
    const { peerId, tracker, rpc, timers } = this.#needs;
    const source =
      this.peerId === peerId
        ? watchStatus({ tracker, timers }, request, signal)
        : rpc.call(this.peerId, 'watchStatus', [request], { signal });
    const iterator = source[Symbol.asyncIterator]();
    let caughtUp = false;
    try {
      for (let first = true; ; first = false) {
        // Live, it may be silent for ever: then the network tells whether the member is still there.
        using scope: ScopedSignal = caughtUp
          ? mergeSignals(signal)
          : deadlineSignal(timers, first ? PEER_ANSWER_TIMEOUT_MS : PEER_STREAM_TIMEOUT_MS, signal);
        const next: IteratorResult<WatchStatusResponse> = await raceSignal(iterator.next(), scope.signal);
        if (next.done) throw new PinfoldError('PEER_UNREACHABLE', 'the member ended its stream');
        caughtUp ||= next.value.caughtUp;
        yield messageOf(next.value);
      }
    } finally {
      leave(iterator);
    }
  }

  #open() {
    const abort = new AbortController();
    const ready = Promise.withResolvers<void>();
    // Whoever waits is told; when nobody does, it is no failure of anybody.
    ready.promise.catch(() => {});
    const upstream = { abort, ready: ready.promise, changed: Promise.withResolvers<void>() };
    void this.#follow(abort.signal, ready).catch((error) => {
      ready.reject(error);
      abort.abort(error);
      if (this.#upstream === upstream) this.#close(error);
    });
    return upstream;
  }

  async #follow(signal: AbortSignal, ready: PromiseWithResolvers<void>): Promise<void> {
    const request = create(WatchStatusRequestSchema, { fromNow: true });
    for await (const { reset, rows, place } of this.#messages(request, signal)) {
      signal.throwIfAborted();
      if (reset || place === undefined)
        throw new PinfoldError('HISTORY_GONE', 'the status index of the member began anew');
      if (this.#end === undefined) this.#start = place;
      else this.#append(place, rows);
      this.#end = place;
      ready.resolve();
      this.#wake();
    }
  }

  #append(to: StatusPlace, rows: readonly WishStatus[]): void {
    this.#entries.push({ to, rows });
    this.#rows += rows.length;
    while (this.#rows > STATUS_LOG_ROWS_MAX && this.#entries.length > 1) {
      const oldest = this.#entries.shift() as LogEntry;
      this.#rows -= oldest.rows.length;
      this.#start = oldest.to;
    }
  }

  #indexAfter(revision: number): number {
    const index = this.#entries.findIndex(({ to }) => to.revision > revision);
    return index < 0 ? this.#entries.length : index;
  }

  /** The entry that ends with that revision. */
  #entryTo(revision: number): LogEntry | undefined {
    return this.#entries.findLast(({ to }) => to.revision === revision);
  }

  #wake(): void {
    const upstream = this.#upstream;
    if (upstream === undefined) return;
    const { changed } = upstream;
    upstream.changed = Promise.withResolvers<void>();
    changed.resolve();
  }

  #close(reason: unknown): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    this.#entries = [];
    this.#rows = 0;
    this.#start = this.#end = undefined;
    upstream?.abort.abort(reason);
    upstream?.changed.resolve();
  }
}

function isSame(a: StatusPlace, b: StatusPlace): boolean {
  return a.revision === b.revision && equalBytes(a.incarnation, b.incarnation) && equalBytes(a.mark, b.mark);
}

function messageOf({ reset, rows, storeIncarnation, revision, mark, caughtUp }: WatchStatusResponse): StatusMessage {
  if (revision > BigInt(Number.MAX_SAFE_INTEGER)) throw wrongAnswer('a revision that is no number');
  const place =
    storeIncarnation.length === 0 ? undefined : { incarnation: storeIncarnation, revision: Number(revision), mark };
  return { reset, rows: rows.map(fromStatusRow), place, caughtUp };
}
