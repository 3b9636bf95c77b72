import { create } from '@bufbuild/protobuf';
import {
  CollectGarbageRequestSchema,
  type CollectGarbageResponse,
  CollectGarbageResponseSchema,
} from '../../gen/pinfold/peer/v1/service_pb.ts';
import type { Connector } from '../ipfs/connector.ts';
import { forEachLimited } from '../ipfs/for-each-limited.ts';
import { nodeError } from '../ipfs/node-error.ts';
import type { CallContext } from '../model/call-context.ts';
import { checkCid } from '../model/cid.ts';
import { invalidField, PinfoldError } from '../model/errors.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { PeerRpc } from '../network/network.ts';
import type { PeerRpcHandlers } from '../network/peer-methods.ts';
import { deadlineSignal, iterateUntil, mergeSignals } from '../runtime/abort.ts';
import { BoundedQueue } from '../runtime/bounded-queue.ts';
import type { Clock, Timers } from '../runtime/clock.ts';
import {
  COLLECTED_CIDS_PER_MESSAGE,
  COLLECTED_EVENTS_WAITING_MAX,
  COLLECTION_PROGRESS_INTERVAL_MS,
  COLLECTIONS_MAX,
  READER_STALL_MS_MAX,
} from './constants.ts';
import { notFound } from './membership.ts';
import { requestOf } from './peer-calls.ts';
import { type PeerError, peerError } from './peer-statuses.ts';
import { wrongAnswer } from './status-rows.ts';

/** Garbage collection on the IPFS nodes of members. */
export interface Collecting {
  /**
   * Tells of each node when its collection begins, as it goes, and when it has ended; what fails at one does not stop the others.
   * Ends with the summary. Rejects before anything is collected with INVALID_ARGUMENT, or PEER_NOT_FOUND for who is no member; and
   * with SLOW_READER when CIDs are asked for and not read. When the signal aborts, or the reader leaves, the collections under way
   * end, and no further one begins.
   */
  collect(query: CollectQuery, call: CallContext): AsyncIterable<CollectEvent>;
}

export interface CollectQuery {
  /** Empty: this peer. */
  peerIds: readonly string[];
  /** All members. */
  all: boolean;
  /** Nodes that collect at once; 0: one. */
  parallel: number;
  /** Name what is removed. */
  withCids: boolean;
}

/** Running totals; `bytes` is 0 where the node does not tell. */
export interface Collected {
  blocks: number;
  bytes: number;
  /** Removed since the last word. */
  cids: readonly Uint8Array[];
}

export type CollectEvent =
  | ({ kind: 'node'; peerId: string; peerName: string; ended: boolean; error: PeerError | undefined } & Collected)
  | { kind: 'summary'; nodes: number; failed: number; blocks: number; bytes: number };

export interface CollectingNeeds {
  peerId: string;
  connector: Pick<Connector, 'collectGarbage'>;
  monitor: Pick<Monitor, 'members' | 'member' | 'isMember'>;
  rpc: Pick<PeerRpc, 'call'>;
  clock: Clock;
  timers: Timers;
}

export function collecting(needs: CollectingNeeds): Collecting {
  return {
    async *collect(query, call) {
      const peerIds = chosen(needs, query);
      const run = new CollectingRun(needs, query, call.signal);
      yield* run.over(peerIds);
      yield run.summary();
    },
  };
}

/** Collects on its own node when another peer asks. */
export function collectingHandlers(
  needs: Pick<CollectingNeeds, 'connector' | 'clock'>,
): Pick<PeerRpcHandlers, 'collectGarbage'> {
  return {
    async *collectGarbage(requests, { signal }) {
      const { withCids } = await requestOf(requests);
      for await (const { blocks, bytes, cids } of collectHere(needs, withCids, signal))
        yield create(CollectGarbageResponseSchema, { blocks: BigInt(blocks), bytes: BigInt(bytes), cids: [...cids] });
    },
  };
}

class CollectingRun {
  readonly #needs: CollectingNeeds;
  readonly #query: CollectQuery;
  readonly #outer: AbortSignal;
  readonly #events = new BoundedQueue<CollectEvent>({ limit: COLLECTED_EVENTS_WAITING_MAX });
  #nodes = 0;
  #failed = 0;
  #blocks = 0;
  #bytes = 0;

  constructor(needs: CollectingNeeds, query: CollectQuery, signal: AbortSignal) {
    this.#needs = needs;
    this.#query = query;
    this.#outer = signal;
  }

  async *over(peerIds: readonly string[]): AsyncGenerator<CollectEvent> {
    using scope = mergeSignals(this.#outer);
    const parallel = Math.max(1, this.#query.parallel);
    const working = forEachLimited(peerIds, parallel, (peerId) => this.#collectAt(peerId, scope.signal)).then(
      () => this.#events.close(),
      (failure) => this.#events.fail(failure),
    );
    try {
      yield* this.#events;
    } finally {
      scope.abort(new PinfoldError('CANCELLED', 'the caller has gone away'));
      await working;
    }
  }

  summary(): CollectEvent {
    return {
      kind: 'summary',
      nodes: this.#nodes,
      failed: this.#failed,
      blocks: this.#blocks,
      bytes: this.#bytes,
    };
  }

  async #collectAt(peerId: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    let last: Collected = { blocks: 0, bytes: 0, cids: [] };
    let error: PeerError | undefined;
    try {
      for await (const collected of collectedBy(this.#needs, peerId, this.#query.withCids, signal)) {
        last = { ...collected, cids: [] };
        await this.#tell(this.#event(peerId, collected), signal);
      }
      this.#nodes++;
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof PinfoldError && cause.code === 'SLOW_READER') throw cause;
      this.#failed++;
      error = peerError(this.#needs, peerId, cause);
    }
    this.#blocks += last.blocks;
    this.#bytes += last.bytes;
    await this.#events.push({ ...this.#event(peerId, last), ended: true, error }, { signal });
  }

  #event(peerId: string, collected: Collected): CollectEvent & { kind: 'node' } {
    const peerName = this.#needs.monitor.member(peerId)?.name ?? '';
    return { kind: 'node', peerId, peerName, ended: false, error: undefined, ...collected };
  }

  /** A node must not be held in its collection by who reads about it: progress is left out, and for CIDs patience has an end. */
  async #tell(event: CollectEvent & { kind: 'node' }, outer: AbortSignal): Promise<void> {
    if (this.#events.offer(event) || event.cids.length === 0) return;
    using scope = deadlineSignal(this.#needs.timers, READER_STALL_MS_MAX, outer);
    try {
      await this.#events.push(event, { signal: scope.signal });
    } catch {
      outer.throwIfAborted();
      const seconds = READER_STALL_MS_MAX / 1000;
      throw new PinfoldError(
        'SLOW_READER',
        `nothing was read for ${seconds} s: the collection was ended; run it again`,
      );
    }
  }
}

/** Throws PEER_NOT_FOUND, INVALID_ARGUMENT. */
function chosen({ peerId, monitor }: CollectingNeeds, { peerIds, all, parallel }: CollectQuery): readonly string[] {
  if (parallel > COLLECTIONS_MAX) throw invalidField('parallel', `${parallel}; at most ${COLLECTIONS_MAX} at once`);
  if (all && peerIds.length > 0) throw invalidField('all', 'name peers, or ask for all: not both');
  if (all) return monitor.members().map((member) => member.peerId);
  if (peerIds.length === 0) return [peerId];
  for (const each of peerIds) if (!monitor.isMember(each)) throw notFound(each);
  return [...new Set(peerIds)];
}

async function* collectedBy(
  needs: CollectingNeeds,
  peerId: string,
  withCids: boolean,
  signal: AbortSignal,
): AsyncGenerator<Collected> {
  if (peerId === needs.peerId) {
    yield* collectHere(needs, withCids, signal);
    return;
  }
  const request = create(CollectGarbageRequestSchema, { withCids });
  const responses = needs.rpc.call(peerId, 'collectGarbage', [request], { signal });
  for await (const response of iterateUntil(responses, signal)) yield checked(response);
}

/** The first word comes before anything is removed. */
async function* collectHere(
  { connector, clock }: Pick<CollectingNeeds, 'connector' | 'clock'>,
  withCids: boolean,
  signal: AbortSignal,
): AsyncGenerator<Collected> {
  let [blocks, bytes] = [0, 0];
  let cids: Uint8Array[] = [];
  yield { blocks, bytes, cids };
  let toldMs = clock.monotonicMs();
  try {
    for await (const removed of connector.collectGarbage({ signal })) {
      blocks++;
      bytes += removed.bytes;
      if (withCids) cids.push(removed.cid);
      const isDue = clock.monotonicMs() - toldMs >= COLLECTION_PROGRESS_INTERVAL_MS;
      if (!isDue && cids.length < COLLECTED_CIDS_PER_MESSAGE) continue;
      yield { blocks, bytes, cids };
      cids = [];
      toldMs = clock.monotonicMs();
    }
  } catch (cause) {
    throw nodeError(cause);
  }
  yield { blocks, bytes, cids };
}

function checked({ blocks, bytes, cids }: CollectGarbageResponse): Collected {
  if (cids.length > COLLECTED_CIDS_PER_MESSAGE) throw wrongAnswer(`${cids.length} CIDs`);
  for (const cid of cids) checkCid(cid, 'cids');
  return { blocks: Number(blocks), bytes: Number(bytes), cids };
}
