import { equalBytes } from '../../../model/bytes.ts';
import { parsePeerId, publicKeyOf } from '../../../model/peer-id.ts';
import type { PinKey } from '../../../model/pin.ts';
import { pinKeyParts } from '../../../model/pin-key.ts';
import type { Pinset } from '../../../pinset/pinset.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { Random } from '../../../runtime/random.ts';
import type { Commit, Storage } from '../../../storage/storage.ts';
import { ridOf } from '../codec/header.ts';
import type { Batch } from '../core/types.ts';
import { KnownSignatures } from '../known-signatures.ts';
import { keptBatch, LogDamaged, unlessLogDamaged, type Verify } from '../log/kept-batch.ts';
import { Turns } from '../rebuild/turns.ts';
import { Acks } from './acks.ts';
import { ForkBook } from './fork-book.ts';
import { decodeRemembered, type Remembered } from './idempotency.ts';
import { type ClockStep, type Replica, Replicas } from './replicas.ts';
import { RevisionClocks } from './revisions.ts';
import { putSelf, readSelf, type Self } from './self.ts';
import { TouchedBuckets } from './touched-buckets.ts';

export interface StoreNeeds {
  storage: Storage;
  pinset: Pinset;
  clock: Clock;
  random: Random;
  logger: Logger;
  peerId: string;
  identityStamp(): Promise<Uint8Array>;
}

type NumberedReplica = Pick<Replica, 'number' | 'rid'>;

/** The clock, the own replica, and what is flushed of both: shared by all that write (local commits, what others wrote, joining). */
export class CrdtStore {
  readonly needs: StoreNeeds;
  readonly replicas: Replicas;
  readonly touched = new TouchedBuckets();
  readonly acks: Acks;
  readonly forks = new ForkBook();
  readonly author: Uint8Array;
  self: Self = { incarnations: [], identityStamp: new Uint8Array(0), lastStamp: 0 };
  #own: Replica | undefined;
  #revisions: RevisionClocks | undefined;
  /** C as of the own replica's last batch: what the next `inc` is counted from. Empty after a start: `inc` is then whole. */
  readonly incBase = new Map<Replica, number>();
  /** Who may write now, while a shadow catches up. */
  readonly turns = new Turns();
  readonly signatures = new KnownSignatures();
  readonly #listeners = new Set<() => void>();
  readonly #damageListeners = new Set<(damage: LogDamaged) => void>();
  #failure: unknown;

  constructor(needs: StoreNeeds) {
    this.needs = needs;
    this.replicas = new Replicas(needs.pinset.names);
    this.acks = new Acks(needs);
    this.author = parsePeerId(needs.peerId);
  }

  async open(): Promise<void> {
    const { storage, pinset, identityStamp } = this.needs;
    this.replicas.load(storage.read);
    this.acks.load();
    this.forks.load(storage.read, this.replicas);
    this.#revisions = new RevisionClocks(pinset.feed.revision, this.replicas.sorted());
    const stamp = await identityStamp();
    const self = readSelf(storage.read);
    if (self !== undefined) this.self = self;
    if (self === undefined || !equalBytes(self.identityStamp, stamp)) {
      if (self !== undefined) this.needs.logger.warn('the store was copied or restored: going on as a new incarnation');
      this.self.identityStamp = stamp;
      this.newIncarnation(); // N1
    }
    this.#own = this.replicas.ensure(this.#nameOf(this.self.incarnations.at(-1) as Uint8Array));
  }

  get own(): Replica {
    if (this.#own === undefined) throw new Error('the store is not open');
    return this.#own;
  }

  get revisions(): RevisionClocks {
    if (this.#revisions === undefined) throw new Error('the store is not open');
    return this.#revisions;
  }

  /** Gives the namespace of a key its number: before the transaction that writes the key, never in one. */
  learnNamespace(key: PinKey): void {
    // The default namespace is kept as no text at all, and has its number in every store.
    if (key[key.length - 1] !== 0) this.needs.pinset.names.namespaces.ensure(pinKeyParts(key).namespace);
  }

  knowsNamespace(key: PinKey): boolean {
    return (
      key[key.length - 1] === 0 || this.needs.pinset.names.namespaces.find(pinKeyParts(key).namespace) !== undefined
    );
  }

  isOwn(replica: Replica): boolean {
    return replica.peerId === this.needs.peerId;
  }

  /** What C covers of a remembered call or stream: a shadow has taken in more, which nobody may be told of before the swap (6.3). */
  live(row: Remembered | undefined): Remembered | undefined {
    if (row === undefined || row.replica === this.own.number) return row;
    if (row.sequence <= (this.replicas.byNumber(row.replica)?.sequence ?? 0)) return row;
    return row.kind === 'stream' && row.request.length > 0 ? decodeRemembered(row.request) : undefined;
  }

  /** N2: a new random number, sequence 1, and a first batch with the whole clock in `inc`. */
  newIncarnation(): void {
    const incarnation = this.needs.random.bytes(8);
    this.self.incarnations.push(incarnation);
    this.incBase.clear();
    this.#own = this.replicas.ensure(this.#nameOf(incarnation));
    this.needs.storage.transaction((tx) => putSelf(tx, this.self));
  }

  #nameOf(incarnation: Uint8Array) {
    return { rid: ridOf(publicKeyOf(this.author), incarnation), author: this.author, incarnation };
  }

  /**
   * Takes the steps of a transaction that was just queued, and resolves when it is flushed: only then may it be spoken of (F1).
   * Rejects with STORAGE_FAILED.
   */
  async queued(commit: Commit<unknown>, steps: readonly ClockStep[], wrotePins: boolean): Promise<void> {
    this.turns.liveWrote(steps.reduce((sum, { replica, sequence }) => sum + sequence - replica.sequence, 0));
    for (const step of steps) this.replicas.step(step);
    if (wrotePins) this.revisions.revision++;
    const { revision } = this.revisions;
    try {
      await commit.flushed;
    } catch (failure) {
      this.#failure ??= failure;
      throw failure;
    }
    this.replicas.flushed(steps);
    this.revisions.flushed(revision, steps);
    for (const listener of this.#listeners) listener();
  }

  /** N4: the same for a transaction that takes an own replica back to before a fork. Nothing else may be in flight. */
  async wentBack(commit: Commit<unknown>, step: ClockStep): Promise<void> {
    this.replicas.goBack(step);
    this.incBase.delete(step.replica);
    await this.queued(commit, [], false);
    this.revisions.flushed(this.revisions.revision, [step]);
  }

  /** L3, before the batches below go: from now on nobody is sent what lies there. */
  raiseFloors(replicas: readonly Replica[], floors: ReadonlyMap<string, number>): void {
    const risen = (replica: Replica) => Math.max(replica.floor, floors.get(replica.ridText) ?? 0);
    this.needs.storage.transaction((tx) => {
      for (const replica of replicas) {
        const { sequence, hash } = replica;
        this.replicas.put(tx, { replica, sequence, hash }, risen(replica));
      }
    });
    for (const replica of replicas) replica.floor = risen(replica);
  }

  /** The batch of the log that holds an operation above the floor. Throws LogDamaged, and tells of it. */
  logged(replica: NumberedReplica, sequence: number, reader = this.needs.storage.read, verify?: Verify): Batch {
    try {
      return keptBatch(reader, replica, sequence, verify);
    } catch (problem) {
      if (problem instanceof LogDamaged) for (const listener of this.#damageListeners) listener(problem);
      throw problem;
    }
  }

  /** The same, and its author has signed it: for whoever is sent it, or takes its header for the author's word. */
  loggedAsSigned(replica: NumberedReplica, sequence: number): Batch {
    return this.logged(replica, sequence, undefined, (batch) => this.signatures.verify(batch));
  }

  /**
   * Whether the history of a replica here, at an operation that its flushed clock covers, ends a batch whose hash begins so. Undefined: that
   * is not known, as the log does not reach back so far or is damaged there.
   */
  endsWith(replica: Replica, sequence: number, hashPrefix: Uint8Array): boolean | undefined {
    const own = unlessLogDamaged(() => this.#flushedHashAt(replica, sequence));
    return own && equalBytes(hashPrefix, own.subarray(0, hashPrefix.length));
  }

  /** Empty: no batch ends there. Undefined: the log does not reach back so far. Throws LogDamaged. */
  #flushedHashAt(replica: Replica, sequence: number): Uint8Array | undefined {
    if (sequence === replica.flushedSequence) return replica.flushedHash;
    if (sequence < replica.floor) return undefined;
    const next = this.loggedAsSigned(replica, sequence + 1);
    return next.head.first === sequence + 1 ? next.head.prev : new Uint8Array(0);
  }

  /** Who cuts the log is told: nobody can be sent what is damaged. */
  onLogDamaged(listener: (damage: LogDamaged) => void): void {
    this.#damageListeners.add(listener);
  }

  /** What broke the storage. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Called after every flush. */
  onFlushed(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when more was flushed than `version`. Rejects with the signal's reason. */
  waitFlushed(version: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.replicas.flushedVersion > version) return resolve();
      const done = () => {
        stopListening();
        signal.removeEventListener('abort', abort);
      };
      const abort = () => {
        done();
        reject(signal.reason);
      };
      const stopListening = this.onFlushed(() => {
        done();
        resolve();
      });
      signal.addEventListener('abort', abort, { once: true });
    });
  }
}
