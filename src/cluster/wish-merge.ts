import { create } from '@bufbuild/protobuf';
import { ListStatusesRequestSchema } from '../../gen/pinfold/peer/v1/service_pb.ts';
import { compareBytes } from '../model/bytes.ts';
import { pinKeyPrefix } from '../model/pin-key.ts';
import type { WishStatus } from '../model/status.ts';
import type { PeerRpc } from '../network/network.ts';
import { deadlineSignal, mergeSignals, raceSignal } from '../runtime/abort.ts';
import type { Timers } from '../runtime/clock.ts';
import type { Tracker } from '../tracker/tracker.ts';
import { PEER_STREAM_TIMEOUT_MS } from './constants.ts';
import { type IndexedFilter, indexedPages, leave } from './status-handlers.ts';
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
}

/**
 * CIDs (version 1) of the wishes that have one of these statuses on one of these peers, each once, in the order of wish
 * keys: the peers' sorted streams, merged. Holds one message of each peer. A peer that fails, or says nothing for as long
 * as `leftMs` says, is handed to `onLost` and left out from there on.
 */
export async function* mergedWishes(
  needs: WishMergeNeeds,
  query: WishMergeQuery,
  events: { onLost(peerId: string, error: unknown): void; leftMs(): number },
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  using scope = mergeSignals(signal);
  const streams = new Set<WishStream>();
  const all: WishStream[] = [];
  const step = async (stream: WishStream) => {
    try {
      if (!(await stream.advance(Math.min(PEER_STREAM_TIMEOUT_MS, events.leftMs())))) streams.delete(stream);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      streams.delete(stream);
      events.onLost(stream.peerId, error);
    }
  };
  try {
    all.push(...query.peerIds.map((peerId) => new WishStream(needs, peerId, query, scope.signal)));
    for (const stream of all) streams.add(stream);
    await Promise.all([...streams].map(step));
    while (streams.size > 0) {
      const first = [...streams].reduce((a, b) => (compareBytes(b.key, a.key) < 0 ? b : a));
      const { key, cid } = first;
      yield cid;
      await Promise.all([...streams].filter((stream) => compareBytes(stream.key, key) === 0).map(step));
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
  #at = -1;
  key: Uint8Array = new Uint8Array();

  constructor(needs: WishMergeNeeds, peerId: string, query: WishMergeQuery, signal: AbortSignal) {
    this.peerId = peerId;
    this.#needs = needs;
    this.#signal = signal;
    const source = peerId === needs.peerId ? ownRows(needs, query, signal) : peerRows(needs, peerId, query, signal);
    this.#iterator = source[Symbol.asyncIterator]();
  }

  get cid(): Uint8Array {
    return (this.#rows[this.#at] as WishStatus).cid;
  }

  leave(): void {
    leave(this.#iterator);
  }

  /** To the next row; false at the end. */
  async advance(withinMs: number): Promise<boolean> {
    this.#at++;
    while (this.#at >= this.#rows.length) {
      using scope = deadlineSignal(this.#needs.timers, withinMs, this.#signal);
      const next = await raceSignal(this.#iterator.next(), scope.signal);
      if (next.done) return false;
      this.#rows = next.value;
      this.#at = 0;
    }
    const key = pinKeyPrefix(this.cid);
    if (compareBytes(key, this.key) <= 0) throw wrongAnswer('rows out of order');
    this.key = key;
    return true;
  }
}

function ownRows(needs: WishMergeNeeds, { filter, after }: WishMergeQuery, signal: AbortSignal) {
  return indexedPages(needs, filter, after, signal);
}

async function* peerRows(
  { rpc }: WishMergeNeeds,
  peerId: string,
  { filter, after }: WishMergeQuery,
  signal: AbortSignal,
): AsyncIterable<WishStatus[]> {
  const { statuses, sinceAfterMs = 0, sinceBeforeMs = 0 } = filter;
  const request = create(ListStatusesRequestSchema, {
    statuses: statuses.map(statusMessage),
    sinceAfterMs: BigInt(sinceAfterMs),
    sinceBeforeMs: BigInt(sinceBeforeMs),
    ...(after === undefined ? {} : { afterCid: after }),
  });
  for await (const { rows } of rpc.call(peerId, 'listStatuses', [request], { signal })) yield rows.map(fromStatusRow);
}
