import type { Clock, Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { mark } from '../../../runtime/mark.ts';
import type { Alerts } from '../alerts.ts';
import type { BatchParts } from '../codec/signed-batch.ts';
import { FORK_WITNESS_INTERVAL_MS, WITNESSES_MAX } from '../constants.ts';
import type { ForkPoint } from '../core/fork-point.ts';
import type { CrdtMetrics } from '../metrics.ts';
import type { PeerCalls } from '../peer-calls.ts';
import { type Fork, headOf } from '../state/fork-book.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import { findResting, type Resting } from './find-resting.ts';
import type { Incarnations } from './incarnations.ts';
import { findForkPoint } from './list-headers.ts';
import { ownBranch } from './own-branch.ts';
import { Rewriter } from './rewriter.ts';

export interface HealerNeeds {
  store: CrdtStore;
  rpc: PeerCalls;
  alerts: Alerts;
  signer: { sign(bytes: Uint8Array): Uint8Array };
  incarnations: Incarnations;
  clock: Clock;
  timers: Timers;
  logger: Logger;
  metrics: CrdtMetrics;
  /** Nothing is written and nothing taken in until the result is called; resolves when what was under way is flushed. */
  hold(): Promise<() => void>;
  /** A shadow that stands is discarded (B6). */
  discardShadow(): void;
  publish(batch: BatchParts, encoded: Uint8Array): void;
  /** The branch that goes on is to be had there. */
  onHealed(witness: string): void;
}

/**
 * N4, the author: this peer has written two histories of one of its replicas. The branch that this store holds gives way: C and H of
 * that replica go back to where the two part, what was written after it is written again by the current replica, and the
 * other branch comes like anyone's batches.
 */
export class Healer {
  readonly #needs: HealerNeeds;
  readonly #rewriter: Rewriter;
  readonly #abort = new AbortController();
  /** Replicas to be looked at, and who has the other history. */
  readonly #suspected = new Map<Replica, string>();
  /** When a peer was last found to have no other history: `${peer} ${rid}`, monotonic. */
  readonly #witnesses = new Map<string, number>();
  #running: Promise<void> | undefined;

  constructor(needs: HealerNeeds) {
    this.#needs = needs;
    this.#rewriter = new Rewriter(needs);
  }

  /** Rows stand under names that C does not cover: nothing of them may be told. */
  get isRewriting(): boolean {
    return this.#needs.store.forks.isRewriting;
  }

  /** Somebody has another history of an own replica, or seems to. Looked into, one after the other. */
  suspect(replica: Replica, witness: string): void {
    const askedMs = this.#witnesses.get(`${witness} ${replica.ridText}`) ?? Number.NEGATIVE_INFINITY;
    if (this.#needs.clock.monotonicMs() - askedMs < FORK_WITNESS_INTERVAL_MS || this.#abort.signal.aborted) return;
    this.#suspected.set(replica, witness);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** At a start, before anything else: what a crash has interrupted. */
  async resume(): Promise<void> {
    for (const { replica, fork } of this.#needs.store.forks.all()) {
      if (fork.state !== 'rewriting') continue;
      mark('crdt fork healing resumed');
      await this.#rewrite(replica, fork);
    }
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error('stopped'));
    await this.#running;
  }

  async #run(): Promise<void> {
    for (const [replica, witness] of this.#suspected) {
      this.#suspected.delete(replica);
      try {
        await this.#examine(replica, witness);
      } catch (problem) {
        const { logger, store } = this.#needs;
        if (this.#abort.signal.aborted || store.failure !== undefined) return;
        logger.warn('a fork of this peer could not be looked into', { witness, problem: String(problem) });
      }
    }
  }

  async #examine(replica: Replica, witness: string): Promise<void> {
    const { store, rpc, clock } = this.#needs;
    const { signal } = this.#abort;
    const own = ownBranch(store, replica);
    const point = await findForkPoint(rpc, { peerId: witness, rid: replica.rid, own, signal });
    // Settled before: then the other side must give way, and hears so when it tells.
    if (point !== undefined && !replica.settled.has(point.common + 1)) return this.#heal(replica, point, witness);
    if (this.#witnesses.size >= WITNESSES_MAX) this.#witnesses.clear();
    this.#witnesses.set(`${witness} ${replica.ridText}`, clock.monotonicMs());
  }

  async #heal(replica: Replica, point: ForkPoint, witness: string): Promise<void> {
    const { store, incarnations, hold, discardShadow, onHealed } = this.#needs;
    this.#raise(replica, point);
    if (replica === store.own && !incarnations.renew('two histories of the current one')) return;
    const release = await hold();
    try {
      // While it was waited the branch may have been given up, or have grown: C says.
      if (replica.settled.has(point.common + 1) || replica.sequence <= point.common) return;
      discardShadow();
      const resting = await findResting(this.#needs, replica, point.common, this.#abort.signal);
      const fork = await this.#goBack(replica, point, resting);
      await this.#rewrite(replica, fork);
    } finally {
      // Half done and unable to go on, it must not be built upon: a start tries again.
      if (!this.isRewriting) release();
    }
    onHealed(witness);
  }

  #raise(replica: Replica, { common }: ForkPoint): void {
    const many = replica.sequence - common;
    const message = `its store was put back, and it wrote operations ${common + 1} to ${replica.sequence} of a replica twice; these ${many} are being written again, nothing is lost`;
    this.#needs.alerts.raise('FORK', replica.peerId, message);
  }

  /** The first transaction: from here on the other branch is the one, and what is left to do is on the disk. */
  async #goBack(replica: Replica, { common, commonHash, winner }: ForkPoint, resting: Resting): Promise<Fork> {
    const { store, clock } = this.#needs;
    const step = { replica, sequence: common, hash: commonHash };
    const fork: Fork = {
      state: 'rewriting',
      first: common + 1,
      winner,
      reason: 'two histories of an own replica',
      sinceMs: clock.nowMs(),
      proof: [],
      next: common + 1,
      end: replica.sequence,
      ...resting,
      writtenAgain: branchOf(store, replica, common),
      saved: 0,
    };
    const commit = store.needs.storage.transaction((tx) => {
      store.replicas.put(tx, step);
      store.forks.put(tx, replica, fork);
    });
    store.forks.kept(replica, fork);
    await store.wentBack(commit, step);
    return fork;
  }

  async #rewrite(replica: Replica, begun: Fork): Promise<void> {
    const { publish, logger, alerts, metrics } = this.#needs;
    let fork = begun;
    const operations = fork.end - fork.next + 1;
    while (fork.state === 'rewriting') {
      const piece = await this.#rewriter.step(replica, fork);
      fork = piece.fork;
      if (piece.sealed !== undefined) publish(piece.sealed.batch, piece.sealed.encoded); // G1
      this.#abort.signal.throwIfAborted();
    }
    metrics.rewritten.add(operations);
    logger.warn('a branch of an own replica was given up and written again', { operations, from: begun.first });
    alerts.healed(
      'FORK',
      replica.peerId,
      'its store was put back; what it wrote twice was written again, nothing is lost',
    );
  }
}

/** The batches above the common point, as others may name them. */
function branchOf(store: CrdtStore, replica: Replica, common: number): string[] {
  const own = ownBranch(store, replica);
  const heads: string[] = [];
  for (let next = own.containing(common + 1); next !== undefined; next = own.containing(next.last + 1)) {
    heads.push(headOf({ sequence: next.last, hash: next.hash }));
  }
  return heads;
}
