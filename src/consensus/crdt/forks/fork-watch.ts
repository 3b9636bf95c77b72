import { create } from '@bufbuild/protobuf';
import { SignedBatchSchema } from '../../../../gen/pinfold/peer/v1/batch_pb.ts';
import { TellForkRequestSchema, type TellForkResponse } from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { equalBytes } from '../../../model/bytes.ts';
import type { Clock, Timer, Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { Alerts } from '../alerts.ts';
import { safeNumber } from '../codec/clock-entries.ts';
import { decodeSignedBatch, encodeSignedBatch } from '../codec/signed-batch.ts';
import { FORK_TELL_INTERVAL_MS, FORK_WITNESS_INTERVAL_MS, WITNESSES_MAX } from '../constants.ts';
import type { Batch } from '../core/types.ts';
import { unlessLogDamaged } from '../log/kept-batch.ts';
import { only, type PeerCalls } from '../peer-calls.ts';
import type { Fork, ForkState } from '../state/fork-book.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import { findForkPoint } from './list-headers.ts';
import { ownBranch } from './own-branch.ts';

export interface ForkWatchNeeds {
  store: CrdtStore;
  rpc: PeerCalls;
  alerts: Alerts;
  clock: Clock;
  timers: Timers;
  logger: Logger;
  isConnected(peerId: string): boolean;
  /** Calls to whomever, trusted or not. */
  tell: PeerCalls;
}

const none = new Uint8Array(0);

/**
 * N4, the others: an author whose signatures prove two histories. What goes on from the branch that this store took is taken, for others
 * may build on it; the rest is not. The author is told until it has settled which branch goes on: then it is as it was, or, if it
 * was the other one, this store must be left (`store rejoin`).
 */
export class ForkWatch {
  readonly #needs: ForkWatchNeeds;
  /** When an author last said what it has settled, monotonic. */
  readonly #askedMs = new Map<Replica, number>();
  /** When a peer was last asked for its headers: `${peer} ${rid}`, monotonic. */
  readonly #witnesses = new Map<string, number>();
  readonly #abort = new AbortController();
  readonly #telling = new Set<Replica>();
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(needs: ForkWatchNeeds) {
    this.#needs = needs;
  }

  /** Alerts of what was found before this start. */
  start(): void {
    for (const { replica } of this.#open()) this.#say(replica.peerId);
    this.#again();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#abort.abort(new Error('stopped'));
  }

  /** The authors of whose given-up branches this store has taken something. */
  get lost(): Replica[] {
    return this.#open().flatMap(({ replica, fork }) => (fork.state === 'lost' ? [replica] : []));
  }

  /** Its author wrote this batch, and another in its place that this store has. */
  found(replica: Replica, other: Batch): void {
    const { clock } = this.#needs;
    if (replica.isForked) return;
    // A branch that was given up long ago may come again and again from who has not left it.
    const askedMs = this.#askedMs.get(replica) ?? Number.NEGATIVE_INFINITY;
    if (clock.monotonicMs() - askedMs < FORK_WITNESS_INTERVAL_MS) return;
    const mine = this.#headerAgainst(replica, other);
    const proof = [mine, announced(other)].filter((header) => header !== undefined);
    const reason = `two histories from operation ${other.head.first} on`;
    this.#put(replica, { ...blank, reason, sinceMs: clock.nowMs(), proof });
    this.#tellAll();
  }

  /** A peer says that it has another history: its headers prove it, or it was mere talk. */
  suspect(replica: Replica, witness: string): void {
    const { clock, logger } = this.#needs;
    const key = `${witness} ${replica.ridText}`;
    const askedMs = this.#witnesses.get(key) ?? Number.NEGATIVE_INFINITY;
    if (replica.isForked || clock.monotonicMs() - askedMs < FORK_WITNESS_INTERVAL_MS) return;
    if (this.#witnesses.size >= WITNESSES_MAX) this.#witnesses.clear();
    this.#witnesses.set(key, clock.monotonicMs());
    this.#examine(replica, witness).catch((problem) => {
      if (!this.#isStopped) logger.debug('a fork could not be looked into', { witness, problem: String(problem) });
    });
  }

  async #examine(replica: Replica, witness: string): Promise<void> {
    const { store, rpc } = this.#needs;
    const own = ownBranch(store, replica);
    const asked = { peerId: witness, rid: replica.rid, own, signal: this.#abort.signal };
    const fork = await findForkPoint(rpc, asked);
    if (fork !== undefined) this.found(replica, fork.theirs);
  }

  #open(): { replica: Replica; fork: Fork }[] {
    const { store } = this.#needs;
    return store.forks
      .all()
      .filter(({ replica, fork: { state } }) => !store.isOwn(replica) && (state === 'found' || state === 'lost'));
  }

  /** The header in the own log that contradicts it; gone, when the log was cut above it. */
  #headerAgainst(replica: Replica, { head }: Batch): Uint8Array | undefined {
    const { store } = this.#needs;
    const branch = ownBranch(store, replica);
    const link = branch.containing(head.first) ?? branch.endingAt(head.first - 1);
    const kept = link && unlessLogDamaged(() => store.loggedAsSigned(replica, link.last));
    return kept && encodeSignedBatch({ ...kept, ops: none });
  }

  #again(): void {
    if (this.#isStopped) return;
    this.#timer = this.#needs.timers.after(FORK_TELL_INTERVAL_MS, () => {
      this.#tellAll();
      this.#again();
    });
  }

  #tellAll(): void {
    for (const { replica, fork } of this.#open()) {
      if (fork.state !== 'found' || !this.#needs.isConnected(replica.peerId) || this.#telling.has(replica)) continue;
      this.#telling.add(replica);
      void this.#tell(replica, fork).finally(() => this.#telling.delete(replica));
    }
  }

  async #tell(replica: Replica, fork: Fork): Promise<void> {
    const { tell, logger } = this.#needs;
    const proof = fork.proof.map((header) => create(SignedBatchSchema, decodeSignedBatch(header)));
    const { flushedSequence, flushedHash } = replica;
    const request = create(TellForkRequestSchema, { proof, sequence: BigInt(flushedSequence), hash: flushedHash });
    const { signal } = this.#abort;
    try {
      const answer = await only(tell.call(replica.peerId, 'tellFork', [request], { signal }));
      this.#answered(replica, { ...fork, saved: answer.writtenAgain ? flushedSequence : 0 }, answer);
    } catch (problem) {
      logger.debug('an author could not be told of its fork', { author: replica.peerId, problem: String(problem) });
    }
  }

  /** Its connection proves that it is the author who says so. */
  #answered(replica: Replica, fork: Fork, { settled }: TellForkResponse): void {
    const { store, clock, alerts } = this.#needs;
    const own = ownBranch(store, replica);
    for (const { first: at, winner } of settled) {
      const first = safeNumber(at);
      const taken = own.containing(first);
      const isOther = taken !== undefined && !equalBytes(taken.hash, winner);
      const state: ForkState = isOther ? 'lost' : 'settled';
      this.#put(replica, { ...fork, state, first, winner });
      if (isOther) return;
    }
    if (settled.length === 0) return;
    this.#askedMs.set(replica, clock.monotonicMs());
    if (this.#say(replica.peerId)) return;
    alerts.healed(
      'FORK',
      replica.peerId,
      'it wrote two histories; it has settled which goes on, which is the one here',
    );
  }

  #put(replica: Replica, fork: Fork): void {
    const { store } = this.#needs;
    store.needs.storage.transaction((tx) => store.forks.put(tx, replica, fork));
    store.forks.kept(replica, fork);
    if (fork.state === 'found' || fork.state === 'lost') this.#say(replica.peerId);
  }

  /** One alert for all forks of a peer that are open: the one of which something is to be done. False: there is none. */
  #say(peerId: string): boolean {
    const forks = this.#open().flatMap(({ replica, fork }) => (replica.peerId === peerId ? [fork] : []));
    const worst = forks.find(({ state }) => state === 'lost') ?? forks[0];
    if (worst === undefined) return false;
    const message =
      worst.state === 'lost'
        ? 'it gave up operations that this peer has taken in: run "pinfold store rejoin" at this peer'
        : `${worst.reason}; it is told, and writes again what must give way. If it is gone for good, nothing has to be done`;
    this.#needs.alerts.raise('FORK', peerId, message);
    return true;
  }
}

const blank: Fork = {
  state: 'found',
  first: 0,
  winner: none,
  reason: '',
  sinceMs: 0,
  proof: [],
  next: 0,
  end: 0,
  seenEarly: [],
  builtOn: [],
  writtenAgain: [],
  saved: 0,
};

function announced({ header, signature }: Batch): Uint8Array {
  return encodeSignedBatch({ header, signature, ops: none });
}
