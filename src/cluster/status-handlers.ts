import { create } from '@bufbuild/protobuf';
import {
  GetStatusesResponseSchema,
  ListStatusesResponseSchema,
  RecoverResponseSchema,
  type WatchStatusRequest,
  type WatchStatusResponse,
  WatchStatusResponseSchema,
} from '../../gen/pinfold/peer/v1/service_pb.ts';
import { equalBytes } from '../model/bytes.ts';
import { checkCid, toV1 } from '../model/cid.ts';
import { invalidField } from '../model/errors.ts';
import { statusOfNumber, type WishStatus } from '../model/status.ts';
import type { PeerRpcHandlers } from '../network/peer-methods.ts';
import { sleep, type Timers } from '../runtime/clock.ts';
import type { IndexedStatus, StatusFeed, Tracker } from '../tracker/tracker.ts';
import { RECOVER_CIDS_MAX, STATUS_ROWS_PER_MESSAGE, STATUSES_ASKED_MAX } from './constants.ts';
import { requestOf } from './peer-calls.ts';
import { matchesStatus, type StatusFilter } from './status-filter.ts';
import { indexedStatusOf, isIndexed, toStatusRow } from './status-rows.ts';

export interface StatusHandlersNeeds {
  tracker: Pick<Tracker, 'statuses' | 'listIndexed' | 'listAll' | 'recover' | 'feed'>;
  timers: Timers;
}

/** What this peer tells other peers about its node. */
export function statusHandlers(
  needs: StatusHandlersNeeds,
): Pick<PeerRpcHandlers, 'getStatuses' | 'listStatuses' | 'watchStatus' | 'recover'> {
  const { tracker, timers } = needs;
  return {
    async *getStatuses(requests) {
      const { cids } = await requestOf(requests);
      const rows = tracker.statuses(wishCids(cids, STATUSES_ASKED_MAX)).map(toStatusRow);
      yield create(GetStatusesResponseSchema, { rows });
    },

    async *listStatuses(requests, { signal }) {
      const { statuses, afterCid, sinceAfterMs, sinceBeforeMs, rowsMax } = await requestOf(requests);
      if (statuses.length === 0) throw invalidField('statuses', 'at least one must be named');
      const filter = {
        statuses: statuses.map(indexedStatusOf),
        ...(sinceAfterMs === 0n ? {} : { sinceAfterMs: Number(sinceAfterMs) }),
        ...(sinceBeforeMs === 0n ? {} : { sinceBeforeMs: Number(sinceBeforeMs) }),
      };
      const after = optionalCid(afterCid);
      for await (const wishes of indexedPages({ tracker, timers }, filter, { after, rowsMax }, signal)) {
        yield create(ListStatusesResponseSchema, { rows: wishes.map(toStatusRow) });
      }
    },

    async *watchStatus(requests, { signal }) {
      yield* watchStatus(needs, await requestOf(requests), signal);
    },

    async *recover(requests, { signal }) {
      const { cids } = await requestOf(requests);
      const wishes = cids.length === 0 ? undefined : wishCids(cids, RECOVER_CIDS_MAX);
      for await (const queued of tracker.recover(wishes, { signal })) {
        for (let i = 0; i < queued.length; i += STATUS_ROWS_PER_MESSAGE) {
          yield create(RecoverResponseSchema, {
            rows: queued.slice(i, i + STATUS_ROWS_PER_MESSAGE).map(toStatusRow),
          });
        }
      }
    },
  };
}

/**
 * What is there, then changes. The revision is taken before the rows are read, so that no change in between is missed;
 * some may be told twice. The first message comes at once. Messages of the first part carry no revision: it cannot be
 * resumed in the middle.
 */
export async function* watchStatus(
  needs: StatusHandlersNeeds,
  request: Pick<WatchStatusRequest, 'storeIncarnation' | 'revision' | 'mark' | 'fromNow' | 'statuses'>,
  signal: AbortSignal,
): AsyncIterable<WatchStatusResponse> {
  const { feed } = needs.tracker;
  let revision = request.fromNow ? feed.revision : Number(request.revision);
  let isCaughtUp = request.fromNow;
  if (request.fromNow || isOfThisFeed(feed, request)) yield message(feed, { revision, caughtUp: isCaughtUp });
  else revision = yield* allRows(needs, request.statuses, signal);
  for (;;) {
    const changes = feed.read(revision, STATUS_ROWS_PER_MESSAGE);
    if (changes === 'gone') {
      revision = yield* allRows(needs, request.statuses, signal);
      isCaughtUp = false;
      continue;
    }
    const hasChanged = changes.revision > revision;
    revision = changes.revision;
    const isAtEnd: boolean = revision >= feed.revision;
    const caughtUp = isAtEnd && !isCaughtUp;
    if (hasChanged || caughtUp) yield message(feed, { rows: changes.rows, revision, caughtUp });
    isCaughtUp ||= isAtEnd;
    if (isAtEnd) await feed.wait(revision, { signal });
    else await sleep(needs.timers, 0, signal);
  }
}

/** Whether the feed goes on from there. */
function isOfThisFeed(
  feed: StatusFeed,
  { storeIncarnation, revision, mark }: Pick<WatchStatusRequest, 'storeIncarnation' | 'revision' | 'mark'>,
): boolean {
  if (revision > BigInt(feed.revision) || !equalBytes(storeIncarnation, feed.incarnation)) return false;
  const known = feed.mark(Number(revision));
  return known !== undefined && equalBytes(known, mark);
}

async function* allRows(
  needs: StatusHandlersNeeds,
  numbers: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<WatchStatusResponse, number, undefined> {
  const { tracker, timers } = needs;
  const { feed } = tracker;
  const { revision } = feed;
  yield message(feed, { reset: true });
  // One that this version does not know is the status of nothing here.
  const statuses = numbers.map(statusOfNumber).filter((status) => status !== undefined);
  const list = (after: Uint8Array | undefined, limit: number) => tracker.listAll(after, limit);
  const rows =
    numbers.length > 0 && statuses.every(isIndexed)
      ? indexedPages(needs, { statuses }, { after: undefined, rowsMax: 0 }, signal)
      : pages(list, undefined, STATUS_ROWS_PER_MESSAGE, timers, signal);
  for await (const some of rows) {
    yield message(feed, { rows: some.filter((row) => numbers.length === 0 || statuses.includes(row.status)) });
  }
  yield message(feed, { revision });
  return revision;
}

const noMark = new Uint8Array(0);

function message(
  feed: StatusFeed,
  rest: { reset?: boolean; rows?: readonly WishStatus[]; revision?: number; caughtUp?: boolean },
): WatchStatusResponse {
  const { reset = false, rows = [], revision, caughtUp = false } = rest;
  const place =
    revision === undefined
      ? {}
      : { storeIncarnation: feed.incarnation, revision: BigInt(revision), mark: feed.mark(revision) ?? noMark };
  return create(WatchStatusResponseSchema, { reset, rows: rows.map(toStatusRow), caughtUp, ...place });
}

export type IndexedFilter = StatusFilter & { statuses: readonly IndexedStatus[] };

export interface IndexedPart {
  /** CID in version 1. */
  after: Uint8Array | undefined;
  /** End after so many rows; 0: with the last. */
  rowsMax: number;
}

/** Rows with indexed statuses, in pages. One of which the filter lets nothing through is empty: who waits sees that it goes on. */
export async function* indexedPages(
  { tracker, timers }: Pick<StatusHandlersNeeds, 'timers'> & { tracker: Pick<Tracker, 'listIndexed'> },
  filter: IndexedFilter,
  { after: from, rowsMax }: IndexedPart,
  signal: AbortSignal,
): AsyncIterable<WishStatus[]> {
  let left = rowsMax === 0 ? Number.POSITIVE_INFINITY : rowsMax;
  const list = (after: Uint8Array | undefined, limit: number) => tracker.listIndexed(filter.statuses, after, limit);
  for await (const wishes of pages(list, from, Math.min(left, STATUS_ROWS_PER_MESSAGE), timers, signal)) {
    const wanted = wishes.filter((wish) => matchesStatus(filter, wish)).slice(0, left);
    left -= wanted.length;
    yield wanted;
    if (left === 0) return;
  }
}

/** Pages of a listing by CID, the first of `firstRows`; other work gets a turn between two. */
async function* pages(
  list: (after: Uint8Array | undefined, limit: number) => WishStatus[],
  from: Uint8Array | undefined,
  firstRows: number,
  timers: Timers,
  signal: AbortSignal,
): AsyncIterable<WishStatus[]> {
  let after = from;
  let limit = firstRows;
  for (;;) {
    const wishes = list(after, limit);
    if (wishes.length === 0) return;
    yield wishes;
    after = wishes[wishes.length - 1]?.cid;
    limit = STATUS_ROWS_PER_MESSAGE;
    await sleep(timers, 0, signal);
  }
}

/** Ends an iteration without waiting: its next step may be under way, and ends when its signal aborts. */
export function leave(iterator: AsyncIterator<unknown>): void {
  // What fails while it ends concerns nobody any more.
  iterator.return?.().catch(() => {});
}

function wishCids(cids: readonly Uint8Array[], max: number): Uint8Array[] {
  if (cids.length > max) throw invalidField('cids', `${cids.length} CIDs; at most ${max} are allowed`);
  for (const cid of cids) checkCid(cid, 'cids');
  return cids.map(toV1);
}

function optionalCid(cid: Uint8Array): Uint8Array | undefined {
  if (cid.length === 0) return undefined;
  checkCid(cid, 'after_cid');
  return toV1(cid);
}
