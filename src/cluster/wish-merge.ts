import { create } from '@bufbuild/protobuf';
import { ListStatusesRequestSchema } from '../../gen/pinfold/peer/v1/service_pb.ts';
import { compareBytes } from '../model/bytes.ts';
import { pinKeyPrefix } from '../model/pin-key.ts';
import type { WishStatus } from '../model/status.ts';
import type { PeerRpc } from '../network/network.ts';
import { deadlineSignal, mergeSignals, raceSignal } from '../runtime/abort.ts';
import { sleep, type Timers } from '../runtime/clock.ts';
import type { Tracker } from '../tracker/tracker.ts';
import { PEER_STREAM_TIMEOUT_MS, STATUS_ROWS_PER_MESSAGE } from './constants.ts';
import { type IndexedFilter, type IndexedPart, indexedPages, leave } from './status-handlers.ts';
import { fromStatusRow, statusMessage, wrongAnswer } from './status-rows.ts';

export interface WishMergeNeeds {
  peerId: string;
  tracker: Pick<Tracker, 'listIndexed'>;
  rpc: Pick<PeerRpc, 'call'>;
  timers: Timers;
}

export interface WishMergeQuery {
  peerIds: readonly string[];
  filter: IndexedFilter;
  after: Uint8Array | undefined;
  /** How many wishes are wanted, probably; 0: all. Up to a message's worth is asked for by itself, so that no more is read or sent. */
  wishes: number;
}

export interface MergedWish {
  /** Version 1. */
  cid: Uint8Array;
  /** By peer ID, of those that have it with one of the statuses. */
  words: ReadonlyMap<string, WishStatus>;
}

/**
 * The wishes that have one of these statuses on one of these peers, each once, in the order of wish keys: the peers'
 * sorted streams, merged. Holds one message of each peer. A peer that fails, or says nothing for as long
 * as `leftMs` says, is handed to `onLost` and left out from there on.
 */
export async function* mergedWishes(
  needs: WishMergeNeeds,
  query: WishMergeQuery,
  events: { onLost(peerId: string, error: unknown): void; leftMs(): number },
  signal: AbortSignal,
): AsyncIterable<MergedWish> {
  using scope = mergeSignals(signal);
  const streams = new Set<WishStream>();
  const all: WishStream[] = [];
  const fill = async (stream: WishStream) => {
    try {
      if (!(await stream.fill(() => Math.min(PEER_STREAM_TIMEOUT_MS, events.leftMs())))) streams.delete(stream);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      streams.delete(stream);
      events.onLost(stream.peerId, error);
    }
  };
  try {
    all.push(...query.peerIds.map((peerId) => new WishStream(needs, peerId, query, scope.signal)));
    for (const stream of all) streams.add(stream);
    await Promise.all(all.map(fill));
    while (streams.size > 0) {
      const { key, row } = [...streams].reduce((a, b) => (compareBytes(b.key, a.key) < 0 ? b : a));
      const having = [...streams].filter((stream) => compareBytes(stream.key, key) === 0);
      yield { cid: row.cid, words: new Map(having.map((stream) => [stream.peerId, stream.row])) };
      const atEnd = having.filter((stream) => !stream.advance());
      if (atEnd.length > 0) await Promise.all(atEnd.map(fill));
    }
  } finally {
    for (const stream of all) stream.leave();
    scope.abort(new Error('the listing is done'));
  }
}

class WishStream {
  readonly peerId: string;
  readonly #needs: WishMergeNeeds;
  readonly #iterator: AsyncIterator<WishStatus[]>;
  readonly #signal: AbortSignal;
  #rows: WishStatus[] = [];
  #keys: Uint8Array[] = [];
  #at = 0;

  constructor(needs: WishMergeNeeds, peerId: string, query: WishMergeQuery, signal: AbortSignal) {
    this.peerId = peerId;
    this.#needs = needs;
    this.#signal = signal;
    this.#iterator = rowsOf(needs, peerId, query, signal)[Symbol.asyncIterator]();
  }

  get row(): WishStatus {
    return this.#rows[this.#at] as WishStatus;
  }

  /** Of the wish. */
  get key(): Uint8Array {
    return this.#keys[this.#at] as Uint8Array;
  }

  leave(): void {
    leave(this.#iterator);
  }

  /** To the next of the rows that came; false when there is none. */
  advance(): boolean {
    this.#at++;
    return this.#at < this.#rows.length;
  }

  /** Has rows come, each lot within that time; false at the end. */
  async fill(withinMs: () => number): Promise<boolean> {
    let before = this.#keys.at(-1);
    this.#rows = [];
    while (this.#rows.length === 0) {
      using scope = deadlineSignal(this.#needs.timers, withinMs(), this.#signal);
      const next = await raceSignal(this.#iterator.next(), scope.signal);
      if (next.done) return false;
      this.#rows = next.value;
    }
    this.#at = 0;
    this.#keys = this.#rows.map(({ cid }) => pinKeyPrefix(cid));
    for (const key of this.#keys) {
      if (before !== undefined && compareBytes(key, before) <= 0) throw wrongAnswer('rows out of order');
      before = key;
    }
    return true;
  }
}

/** Nothing, now and then: it goes on. */
async function* rowsOf(
  needs: WishMergeNeeds,
  peerId: string,
  { filter, after, wishes }: WishMergeQuery,
  signal: AbortSignal,
): AsyncIterable<WishStatus[]> {
  // The questions to the others leave first: they are at it meanwhile.
  if (peerId === needs.peerId) await sleep(needs.timers, 0, signal);
  const read = (part: IndexedPart) =>
    peerId === needs.peerId ? indexedPages(needs, filter, part, signal) : peerRows(needs, peerId, filter, part, signal);
  if (wishes === 0 || wishes > STATUS_ROWS_PER_MESSAGE) {
    yield* read({ after, rowsMax: 0 });
    return;
  }
  // Read to its end before anything is given: a call that is left costs its stream to the peer.
  const first: WishStatus[] = [];
  for await (const rows of read({ after, rowsMax: wishes })) {
    first.push(...rows);
    if (first.length > wishes) throw wrongAnswer('more rows than it was asked for');
    yield [];
  }
  yield first;
  if (first.length >= wishes) yield* read({ after: first.at(-1)?.cid, rowsMax: 0 });
}

async function* peerRows(
  { rpc }: WishMergeNeeds,
  peerId: string,
  { statuses, sinceAfterMs = 0, sinceBeforeMs = 0 }: IndexedFilter,
  { after, rowsMax }: IndexedPart,
  signal: AbortSignal,
): AsyncIterable<WishStatus[]> {
  const request = create(ListStatusesRequestSchema, {
    statuses: statuses.map(statusMessage),
    sinceAfterMs: BigInt(sinceAfterMs),
    sinceBeforeMs: BigInt(sinceBeforeMs),
    rowsMax,
    ...(after === undefined ? {} : { afterCid: after }),
  });
  for await (const { rows } of rpc.call(peerId, 'listStatuses', [request], { signal })) yield rows.map(fromStatusRow);
}
