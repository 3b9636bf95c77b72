import { PinfoldError } from '../../../model/errors.ts';
import type { Clock, Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { mark } from '../../../runtime/mark.ts';
import type { Alerts } from '../alerts.ts';
import type { HeardEntry } from '../codec/clock-entries.ts';
import type { BatchParts } from '../codec/signed-batch.ts';
import { ALERT_SHOWN_MS, DUPLICATE_IDENTITY_MS } from '../constants.ts';
import type { Batch } from '../core/types.ts';
import type { Intake } from '../intake.ts';
import type { CrdtMetrics } from '../metrics.ts';
import type { CrdtHandlers, PeerCalls } from '../peer-calls.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import { cutResting } from './cut-resting.ts';
import { Departure } from './departure.ts';
import { FirstContact } from './first-contact.ts';
import { ForkWatch } from './fork-watch.ts';
import { Healer } from './healer.ts';
import { Hold } from './hold.ts';
import { Incarnations } from './incarnations.ts';
import { listHeaders } from './list-headers.ts';
import { Offers } from './offers.ts';
import { RolledBack } from './rolled-back.ts';
import { toldOfFork } from './told-of-fork.ts';

export interface ForksNeeds {
  options: { restartCompareTimeoutMs: number };
  store: CrdtStore;
  rpc: PeerCalls;
  alerts: Alerts;
  intake: Intake;
  signer: { sign(bytes: Uint8Array): Uint8Array };
  clock: Clock;
  timers: Timers;
  logger: Logger;
  metrics: CrdtMetrics;
  isTrusted(peerId: string): boolean;
  /** Whether or not it is trusted: for what is told, not taken. */
  tell: PeerCalls;
  /** Connected trusted peers. */
  reached(): string[];
  isConnected(peerId: string): boolean;
  knowsOthers(): boolean;
  /** Resolves when all writes that were taken are on the disk. */
  written(): Promise<void>;
  /** An own batch is on its way to the disk. */
  isWriting(): boolean;
  /** What has waited may be written and taken in. */
  resume(): void;
  discardShadow(): void;
  publish(batch: BatchParts, encoded: Uint8Array): void;
  /** Says Hello to that peer now. */
  greet(peerId: string): void;
}

/** What an operator does to the store while the peer runs. */
export interface KeptStore {
  /** N2: goes on as a new incarnation, on the disk when it resolves. */
  renew(): Promise<void>;
  /**
   * Takes no more writes and sees to it that another peer has what this one has, so that its store can be left. With `force` it
   * may be. Throws NOT_COVERED, naming what would be lost; then the peer goes on as before.
   */
  prepareRejoin(options: { force: boolean; signal: AbortSignal }): Promise<void>;
}

/**
 * Forks and identity accidents (N1 to N5): a store that was put back, copied or lost; who wrote two histories because of it; two
 * processes with one identity. Each is found, said to the operator, and made harmless.
 */
export class Forks {
  readonly incarnations: Incarnations;
  readonly offers: Offers;
  readonly departure: Departure;
  readonly #needs: ForksNeeds;
  readonly #hold: Hold;
  readonly #healer: Healer;
  readonly #watch: ForkWatch;
  readonly #rolledBack: RolledBack;
  readonly #contact: FirstContact;
  /** Until when this peer believes that another process has its identity; monotonic. */
  #doubleUntilMs = Number.NEGATIVE_INFINITY;

  constructor(needs: ForksNeeds) {
    const { store, alerts } = needs;
    this.#needs = needs;
    this.#hold = new Hold(() => needs.resume());
    this.#rolledBack = new RolledBack(store, alerts);
    this.offers = new Offers(needs);
    this.departure = new Departure({ ...needs, offers: this.offers });
    this.incarnations = new Incarnations({
      ...needs,
      onLate: () => {
        for (const peer of needs.reached()) needs.greet(peer);
      },
    });
    this.#healer = new Healer({
      ...needs,
      incarnations: this.incarnations,
      hold: () => this.#held(),
      onHealed: (witness) => needs.greet(witness),
    });
    this.#watch = new ForkWatch(needs);
    this.#contact = new FirstContact({ ...needs, onOver: () => needs.resume() });
  }

  /** Before anything is served: what a crash has interrupted is ended. */
  async resume(): Promise<void> {
    await this.#healer.resume();
  }

  start(): void {
    this.#watch.start();
    this.#contact.start();
  }

  async stop(): Promise<void> {
    this.incarnations.stop();
    this.#contact.stop();
    this.#watch.stop();
    await this.#healer.stop();
  }

  /** Own writes wait. */
  get holdsWrites(): boolean {
    return this.#hold.isHeld || !this.#contact.isOver || this.#healer.isRewriting;
  }

  /** Nothing is taken in. */
  get holdsIntake(): boolean {
    return this.#hold.isHeld || this.#healer.isRewriting;
  }

  /** Rows of operations that their author gave up must not be merged into those of others (N4, B2). */
  get holdsGivenUp(): boolean {
    return this.#watch.lost.length > 0;
  }

  /** The rows are not those of the clock: nobody may be given them, nor their digest. */
  get hidesRows(): boolean {
    return this.#healer.isRewriting;
  }

  /** Why no writes are taken (C4). */
  refusal(): PinfoldError | undefined {
    if (this.departure.isUnderWay)
      return new PinfoldError('JOINING', 'this peer is leaving its store to join anew; write at another meanwhile');
    const [lost] = this.#watch.lost;
    if (lost !== undefined) {
      const problem = `this peer has taken in operations that their author, ${lost.peerId}, gave up: what is written here reaches nobody`;
      return new PinfoldError('STORE_FORKED', `${problem}; run "pinfold store rejoin"`);
    }
    if (!this.incarnations.isWaiting) return undefined;
    const problem = 'the store was put back twice within ten minutes; writes are taken again when they are over';
    return new PinfoldError('LIMIT_REACHED', problem, { retryAfterMs: 60_000 });
  }

  /** R2, R3, R5: two histories, by signatures. */
  found(replica: Replica, batch: Batch, from: string): void {
    if (this.#needs.store.isOwn(replica)) this.#healer.suspect(replica, from);
    else this.#watch.found(replica, batch);
  }

  /** R6: nothing more is taken of that author. */
  erred(replica: Replica, reason: string): void {
    const { store, alerts } = this.#needs;
    alerts.raise('FORK', replica.peerId, reason);
    if (store.isOwn(replica) || replica.frozen !== '') return;
    replica.frozen = reason;
    const { sequence, hash } = replica;
    store.needs.storage.transaction((tx) => store.replicas.put(tx, { replica, sequence, hash }));
  }

  /** A clock says so: word of whoever sent it, which must not cut off an author. Headers will prove it, or its next batch. */
  toldByClock(replica: Replica, from: string, sequence: number): void {
    if (this.#needs.store.isOwn(replica)) {
      this.#healer.suspect(replica, from);
      return;
    }
    const proof =
      sequence <= replica.floor
        ? 'the log here was cut above it, so nobody can prove it: if this stays, run "pinfold store rejoin" here'
        : 'it is looked into';
    const message = `${from} has another history up to operation ${sequence}; ${proof}`;
    this.#needs.alerts.raise('FORK', replica.peerId, message, 5 * ALERT_SHOWN_MS);
    this.#watch.suspect(replica, from);
  }

  /** N3: somebody has more of an own replica than this store. */
  ownAhead(replica: Replica, sequence: number, from: string): void {
    mark('crdt incarnation: behind what others have of it');
    this.#rolledBack.heard(replica, sequence, from);
    if (replica === this.#needs.store.own) this.incarnations.renew('the store was put back');
  }

  /** Hello was exchanged, and the clocks if they differed; `clock` is the other's then. */
  compared(peerId: string, clock: readonly HeardEntry[] | undefined, signal: AbortSignal): void {
    this.#rolledBack.check();
    cutResting(this.#needs);
    this.#contact.compared(peerId);
    if (clock === undefined || this.#needs.clock.monotonicMs() > this.#doubleUntilMs) return;
    this.offers.give(peerId, clock, signal).catch((problem) => {
      if (!signal.aborted) this.#needs.logger.debug('an offer failed', { peerId, problem: String(problem) });
    });
  }

  /** N5: another peer hears two processes of this identity. */
  toldOfDouble(from: string): void {
    const { alerts, clock, store } = this.#needs;
    this.#doubleUntilMs = clock.monotonicMs() + DUPLICATE_IDENTITY_MS;
    const message = `${from} hears another process with this peer's identity: stop one of the two; a copy of a folder needs an identity of its own ("pinfold init")`;
    alerts.raise('DUPLICATE_IDENTITY', store.needs.peerId, message, DUPLICATE_IDENTITY_MS);
  }

  /** `checkOpen` throws while this peer cannot answer. */
  handlers(checkOpen: () => void): Pick<CrdtHandlers, 'listHeaders' | 'tellFork' | 'offerBatches'> {
    const { store } = this.#needs;
    const healer = this.#healer;
    const { offers } = this;
    return {
      async *listHeaders(requests) {
        for await (const request of requests) {
          checkOpen();
          return yield listHeaders(store, request);
        }
      },
      async *tellFork(requests, { peerId }) {
        for await (const request of requests) {
          checkOpen();
          return yield toldOfFork(request, peerId, { store, healer });
        }
      },
      async *offerBatches(requests, { peerId }) {
        for await (const request of requests) {
          checkOpen();
          return yield await offers.taken(request, peerId);
        }
      },
    };
  }

  /** `checkOpen` throws while this peer cannot answer. */
  keeping(checkOpen: () => void): KeptStore {
    const { incarnations, departure } = this;
    const { storage } = this.#needs.store.needs;
    return {
      async renew() {
        checkOpen();
        incarnations.now('an operator said so');
        await storage.flushed();
      },
      async prepareRejoin(options) {
        checkOpen();
        await departure.prepare(options);
      },
    };
  }

  async #held(): Promise<() => void> {
    const { isWriting, intake, store } = this.#needs;
    const release = this.#hold.take();
    while (isWriting() || intake.isBusy) await store.needs.storage.flushed();
    return release;
  }
}
