import { create } from '@bufbuild/protobuf';
import type { ClockEntry } from '../../../gen/pinfold/peer/v1/batch_pb.ts';
import { AcknowledgeRequestSchema } from '../../../gen/pinfold/peer/v1/service_pb.ts';
import { formatPeerId } from '../../model/peer-id.ts';
import { deadlineSignal, mergeSignals, type ScopedSignal } from '../../runtime/abort.ts';
import type { Clock, Timer, Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { clockEntry } from './codec/clock-entries.ts';
import { ACK_INTERVAL_MS, ACK_PEERS_MAX, ACK_TIMEOUT_MS, CLOCK_ENTRIES_MAX } from './constants.ts';
import type { Batch } from './core/types.ts';
import type { CrdtMetrics } from './metrics.ts';
import { only, type PeerCalls } from './peer-calls.ts';
import type { CrdtStore } from './state/store.ts';

export interface AcknowledgerNeeds {
  store: CrdtStore;
  rpc: PeerCalls;
  clock: Clock;
  timers: Timers;
  logger: Logger;
  metrics: Pick<CrdtMetrics, 'acknowledgements'>;
  /** Followers do not count, so they say nothing. */
  isFollower: boolean;
}

/** An author that wants to know how far one of its replicas is on this peer's disk. */
interface Want {
  readonly ridText: string;
  readonly author: string;
  until: number;
  sent: number;
}

interface Told {
  sentMs: number;
  timer: Timer | undefined;
  calling: boolean;
}

/**
 * R7: tells authors that asked for it what of theirs is flushed here, of the live tables alone (fault ack-from-shadow). One message for all
 * batches of `ACK_INTERVAL_MS`; the first goes at once. What is lost is lost: an author that waits asks by itself.
 */
export class Acknowledger {
  readonly #needs: AcknowledgerNeeds;
  /** What is wanted and not told yet. */
  readonly #wants = new Map<string, Want>();
  readonly #authors = new Map<string, Told>();
  readonly #scope: ScopedSignal = mergeSignals();
  readonly #stopListening: () => void;

  constructor(needs: AcknowledgerNeeds) {
    this.#needs = needs;
    this.#stopListening = needs.store.onFlushed(() => this.#flushed());
  }

  /** The author of a batch that came wants to be told. Its header must be its own: its signature is right, or its replica known. */
  wanted({ ridText, head }: Batch): void {
    const author = formatPeerId(head.author);
    if (this.#needs.isFollower || author === this.#needs.store.needs.peerId || this.#scope.signal.aborted) return;
    const want = this.#wants.get(ridText);
    if (want !== undefined) want.until = Math.max(want.until, head.last);
    else if (this.#wants.size < CLOCK_ENTRIES_MAX) {
      this.#wants.set(ridText, { ridText, author, until: head.last, sent: 0 });
    }
    this.#flushed();
  }

  stop(): void {
    this.#stopListening();
    this.#scope.abort(new Error('stopped'));
    for (const { timer } of this.#authors.values()) timer?.cancel();
  }

  #flushed(): void {
    for (const want of this.#wants.values()) if (this.#isDue(want)) this.#soon(want.author);
  }

  /** F1: nothing is told before it is on the disk (fault ack-before-flush). */
  #isDue({ ridText, sent, until }: Want): boolean {
    const flushed = this.#needs.store.replicas.taken(ridText)?.flushedSequence ?? 0;
    return flushed > sent && sent < until;
  }

  #soon(peerId: string): void {
    const author = this.#author(peerId);
    if (author.timer !== undefined || author.calling) return;
    const { clock, timers } = this.#needs;
    author.timer = timers.after(Math.max(0, author.sentMs + ACK_INTERVAL_MS - clock.monotonicMs()), () => {
      author.timer = undefined;
      author.sentMs = clock.monotonicMs();
      author.calling = true;
      void this.#send(peerId).finally(() => {
        author.calling = false;
        // What was flushed meanwhile.
        this.#flushed();
      });
    });
  }

  #author(peerId: string): Told {
    const known = this.#authors.get(peerId);
    if (known !== undefined) return known;
    if (this.#authors.size >= ACK_PEERS_MAX) {
      for (const [id, { timer, calling }] of this.#authors)
        if (timer === undefined && !calling) this.#authors.delete(id);
    }
    const author = { sentMs: Number.NEGATIVE_INFINITY, timer: undefined, calling: false };
    this.#authors.set(peerId, author);
    return author;
  }

  async #send(peerId: string): Promise<void> {
    const { rpc, timers, metrics, logger } = this.#needs;
    using scope = deadlineSignal(timers, ACK_TIMEOUT_MS, this.#scope.signal);
    const request = create(AcknowledgeRequestSchema, { clock: this.#entries(peerId) });
    try {
      await only(rpc.call(peerId, 'acknowledge', [request], { signal: scope.signal }));
      metrics.acknowledgements.add(1, { result: 'sent' });
    } catch (problem) {
      metrics.acknowledgements.add(1, { result: 'failed' });
      logger.debug('an acknowledgement was not taken', { peerId, problem: String(problem) });
    }
  }

  #entries(peerId: string): ClockEntry[] {
    const entries: ClockEntry[] = [];
    for (const want of this.#wants.values()) {
      if (want.author !== peerId || !this.#isDue(want)) continue;
      const replica = this.#needs.store.replicas.taken(want.ridText);
      if (replica === undefined) continue;
      want.sent = replica.flushedSequence;
      entries.push(clockEntry(replica.rid, replica.flushedSequence, replica.flushedHash));
      if (want.sent >= want.until) this.#wants.delete(want.ridText);
    }
    return entries;
  }
}
