import { create } from '@bufbuild/protobuf';
import { GetClockRequestSchema } from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { byteString, equalBytes } from '../../../model/bytes.ts';
import { formatCid } from '../../../model/cid.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { pinKeyParts } from '../../../model/pin-key.ts';
import type { Clock, Timers } from '../../../runtime/clock.ts';
import { sleep } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { flushedClock, type HeardEntry, readClock } from '../codec/clock-entries.ts';
import { decodeOperations } from '../codec/operations.ts';
import { DEPARTURE_NAMED_MAX, DEPARTURE_PATIENCE_MS, DEPARTURE_RETRY_MS } from '../constants.ts';
import { batchesBack } from '../log/batches-back.ts';
import { only, type PeerCalls } from '../peer-calls.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import type { Offers } from './offers.ts';

export interface DepartureNeeds {
  store: CrdtStore;
  rpc: PeerCalls;
  offers: Offers;
  clock: Clock;
  timers: Timers;
  logger: Logger;
  /** Connected trusted peers. */
  reached(): string[];
  /** Resolves when all writes that were taken are on the disk. */
  written(): Promise<void>;
}

/**
 * Before a store is left (`store rejoin`): no more writes, and what this peer has, its own or others', is offered to the others until
 * one of them has it on its disk. What its author gave up, and says that it has written again, is safe as well.
 */
export class Departure {
  readonly #needs: DepartureNeeds;
  #isUnderWay = false;

  constructor(needs: DepartureNeeds) {
    this.#needs = needs;
  }

  /** No writes are taken: the store is about to be left. */
  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /** Throws NOT_COVERED, which names what would be lost, and LIMIT_REACHED when it is under way already. With `force` only the latter. */
  async prepare({ force, signal }: { force: boolean; signal: AbortSignal }): Promise<void> {
    if (this.#isUnderWay) throw new PinfoldError('LIMIT_REACHED', 'this peer is leaving its store already');
    this.#isUnderWay = true;
    try {
      await this.#needs.written();
      const uncovered = await this.#uncovered(signal);
      if (uncovered.size > 0 && !force) throw this.#notCovered(uncovered);
      if (uncovered.size > 0)
        this.#needs.logger.warn('the store is left with what no other peer has', lossOf(uncovered));
    } catch (problem) {
      this.#isUnderWay = false;
      throw problem;
    }
  }

  /** From which operation on no reached peer has a replica, after offering for as long as it helps. */
  async #uncovered(signal: AbortSignal): Promise<Map<Replica, number>> {
    const { clock, timers } = this.#needs;
    const sinceMs = clock.monotonicMs();
    for (;;) {
      const uncovered = this.#missing(await this.#clocks(signal));
      if (uncovered.size === 0 || clock.monotonicMs() - sinceMs > DEPARTURE_PATIENCE_MS) return uncovered;
      await sleep(timers, DEPARTURE_RETRY_MS, signal);
    }
  }

  async #clocks(signal: AbortSignal): Promise<HeardEntry[][]> {
    const { store, rpc, offers, logger } = this.#needs;
    const own = create(GetClockRequestSchema, { clock: flushedClock(store.replicas.sorted()) });
    const clocks: HeardEntry[][] = [];
    for (const peerId of this.#needs.reached()) {
      try {
        const { clock } = await only(rpc.call(peerId, 'getClock', [own], { signal }));
        clocks.push(await offers.give(peerId, readClock(clock), signal));
      } catch (problem) {
        signal.throwIfAborted();
        logger.debug('a peer could not be offered what is here', { peerId, problem: String(problem) });
      }
    }
    return clocks;
  }

  #missing(clocks: readonly HeardEntry[][]): Map<Replica, number> {
    const { store } = this.#needs;
    const missing = new Map<Replica, number>();
    const byRid = clocks.map((clock) => new Map(clock.map((entry) => [byteString(entry.rid), entry])));
    for (const replica of store.replicas.sorted()) {
      const known = byRid.map((clock) => coveredOf(replica, clock.get(replica.ridText)));
      const saved = store.forks.of(replica).map((fork) => fork.saved);
      const covered = Math.max(0, ...known, ...saved);
      if (covered < replica.flushedSequence) missing.set(replica, covered);
    }
    return missing;
  }

  #notCovered(uncovered: ReadonlyMap<Replica, number>): PinfoldError {
    const { operations, authors } = lossOf(uncovered);
    const reached = this.#needs.reached().length;
    const names = this.#names(uncovered);
    const problem = `${operations} operations of this store are on no other peer that is reached (${reached})`;
    const what = names.length === 0 ? '' : `, among them those on ${names.join(', ')}`;
    const advice = 'let the others be reached and try again, or leave them behind with --force';
    return new PinfoldError('NOT_COVERED', `${problem}${what}; ${advice}`, {
      facts: { operations: `${operations}`, authors: authors.join(' ') },
    });
  }

  /** A few of the CIDs that would be lost, own ones and the newest first. */
  #names(uncovered: ReadonlyMap<Replica, number>): string[] {
    const { store } = this.#needs;
    const rank = (replica: Replica) => Number(replica !== store.own) + Number(!store.isOwn(replica));
    const cids = new Set<string>();
    for (const [replica, covered] of [...uncovered].sort(([a], [b]) => rank(a) - rank(b))) {
      for (const { ops } of batchesBack(store, replica, replica.flushedSequence, covered)) {
        for (const { key } of decodeOperations(ops).operations.toReversed()) {
          cids.add(formatCid(pinKeyParts(key).cid));
          if (cids.size >= DEPARTURE_NAMED_MAX) return [...cids];
        }
      }
    }
    return [...cids];
  }
}

/** How far that peer has what this one has; another history at the same place is not it. */
function coveredOf(replica: Replica, entry: HeardEntry | undefined): number {
  if (entry === undefined) return 0;
  const isSame =
    entry.sequence !== replica.flushedSequence ||
    equalBytes(entry.hashPrefix, replica.flushedHash.subarray(0, entry.hashPrefix.length));
  return isSame ? Math.min(entry.sequence, replica.flushedSequence) : 0;
}

function lossOf(uncovered: ReadonlyMap<Replica, number>): { operations: number; authors: string[] } {
  let operations = 0;
  const authors = new Set<string>();
  for (const [replica, covered] of uncovered) {
    operations += replica.flushedSequence - covered;
    authors.add(replica.peerId);
  }
  return { operations, authors: [...authors] };
}
