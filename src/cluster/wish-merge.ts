import { create } from '@bufbuild/protobuf';
import { ListStatusesRequestSchema, type StatusRow } from '../../gen/pinfold/peer/v1/service_pb.ts';
import { compareBytes } from '../model/bytes.ts';
import { pinKeyPrefix } from '../model/pin-key.ts';
import { statusNumbers, type WishStatus } from '../model/status.ts';
import type { PeerRpc } from '../network/network.ts';
import { deadlineSignal, mergeSignals, raceSignal } from '../runtime/abort.ts';
import type { Timers } from '../runtime/clock.ts';
import type { IndexedStatus, Tracker } from '../tracker/tracker.ts';
import { PEER_STREAM_TIMEOUT_MS } from './constants.ts';
import { leave, pages } from './status-handlers.ts';
import { fromStatusRow, wrongAnswer } from './status-rows.ts';

export interface WishMergeNeeds {
  peerId: string;
  tracker: Pick<Tracker, 'listIndexed'>;
  rpc: Pick<PeerRpc, 'call'>;
  timers: Timers;
}

/**
 * CIDs (version 1) of the wishes that have one of these statuses on one of these peers, each once, in the order of wish
 * keys: the peers' sorted streams, merged. Holds one message of each peer. A peer that fails is handed to `onLost` and
 * left out from there on.
 */
export async function* mergedWishes(
  needs: WishMergeNeeds,
  query: { peerIds: readonly string[]; statuses: readonly IndexedStatus[]; after: Uint8Array | undefined },
  onLost: (peerId: string, error: unknown) => void,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  using scope = mergeSignals(signal);
  const streams = new Set<WishStream>();
  const all: WishStream[] = [];
  const step = async (stream: WishStream) => {
    try {
      if (!(await stream.advance())) streams.delete(stream);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      streams.delete(stream);
      onLost(stream.peerId, error);
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

  constructor(
    needs: WishMergeNeeds,
    peerId: string,
    query: { statuses: readonly IndexedStatus[]; after: Uint8Array | undefined },
    signal: AbortSignal,
  ) {
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
  async advance(): Promise<boolean> {
    this.#at++;
    while (this.#at >= this.#rows.length) {
      using scope = deadlineSignal(this.#needs.timers, PEER_STREAM_TIMEOUT_MS, this.#signal);
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

function ownRows(
  { tracker, timers }: WishMergeNeeds,
  { statuses, after }: { statuses: readonly IndexedStatus[]; after: Uint8Array | undefined },
  signal: AbortSignal,
): AsyncIterable<WishStatus[]> {
  return pages((from, limit) => tracker.listIndexed(statuses, from, limit), after, timers, signal);
}

async function* peerRows(
  { rpc }: WishMergeNeeds,
  peerId: string,
  { statuses, after }: { statuses: readonly IndexedStatus[]; after: Uint8Array | undefined },
  signal: AbortSignal,
): AsyncIterable<WishStatus[]> {
  const request = create(ListStatusesRequestSchema, {
    statuses: statuses.map((status) => statusNumbers[status] as StatusRow['status']),
    ...(after === undefined ? {} : { afterCid: after }),
  });
  for await (const { rows } of rpc.call(peerId, 'listStatuses', [request], { signal })) yield rows.map(fromStatusRow);
}
