import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { IntakeRowSchema, TrackerPositionSchema } from '../../gen/pinfold/store/v1/store_pb.ts';
import { byteString } from '../model/bytes.ts';
import { toV1 } from '../model/cid.ts';
import type { PinKey } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import type { FeedEntry, Pinset } from '../pinset/pinset.ts';
import type { Logger } from '../runtime/logger.ts';
import { mark } from '../runtime/mark.ts';
import type { Storage } from '../storage/storage.ts';
import {
  BACKLOG_KEYS_MAX,
  BACKLOG_KEYS_PER_CALL,
  SLICE_KEYS_MAX,
  WALK_WISHES_MAX,
  WINDOW_WISHES_MAX,
} from './constants.ts';
import type { Entry } from './lanes.ts';
import type { StatusIndex } from './status-index.ts';
import { intakeTable, numberKey, numberOf, positionKey, stateTable } from './tables.ts';
import type { Occasion } from './wish.ts';
import type { Piece, Work } from './work.ts';

export interface IntakeNeeds {
  pinset: Pick<Pinset, 'feed' | 'keys' | 'count'>;
  storage: Storage;
  index: StatusIndex;
  work: Work;
  logger: Logger;
}

type Walk = 'none' | 'pins' | 'rows';
const walks = ['none', 'pins', 'rows'] as const;

/**
 * Takes work from the pinset: follows its feed and, where the feed is gone or names everything, walks the pins and then
 * the status rows. Both positions are on disk. What is taken and not settled is in the table `tracker_intake`, written
 * in the same transaction as the position: one small sequential row for some hundred wishes, where a row for each
 * would cost a random insert. After a crash the intake is looked at again, and what it names may be held by the node.
 */
export class Intake {
  readonly #needs: IntakeNeeds;
  readonly #signal: AbortSignal;
  /** Of the pinset's feed: all up to it is taken. */
  #revision = 0;
  #walk: Walk = 'none';
  #cursor: Uint8Array | undefined;
  /** Counts walks begun, so that a piece of an older one moves nothing. */
  #walkNumber = 0;
  #walkBegun = Promise.withResolvers<void>();
  #nextPiece = 1;
  #backlog = { revision: 0, keys: 0 };

  constructor(needs: IntakeNeeds, signal: AbortSignal) {
    this.#needs = needs;
    this.#signal = signal;
  }

  open(): void {
    const { storage } = this.#needs;
    const stored = storage.read.get(stateTable, positionKey);
    if (stored !== undefined) {
      const position = fromBinary(TrackerPositionSchema, stored);
      this.#revision = Number(position.revision);
      this.#walk = walks[position.walk] ?? 'pins';
      this.#cursor = position.walkCursor.length > 0 ? position.walkCursor : undefined;
    }
    // Whoever asked before did not know how far the feed had been read.
    this.#backlog = { revision: this.#revision, keys: 0 };
    const pieces = Array.from(storage.read.range(intakeTable), ({ key, value }) => ({
      number: numberOf(key),
      cids: fromBinary(IntakeRowSchema, value).cids,
    }));
    for (const { number, cids } of pieces) this.#retake(number, cids);
  }

  /** Runs until the signal aborts. */
  async run(): Promise<void> {
    await Promise.all([this.#untilStopped(() => this.#followOn()), this.#untilStopped(() => this.#walkOn())]);
  }

  /**
   * Changes of the pinset that were not looked at yet. Reads on a bounded piece a call, so it may take some calls to
   * count a long backlog.
   */
  backlog(): number {
    const { pinset, index, work } = this.#needs;
    const { feed } = pinset;
    if (this.#walk === 'pins') return Math.max(0, pinset.count() - index.rows() - work.fresh());
    if (this.#backlog.revision < this.#revision) this.#backlog = { revision: this.#revision, keys: 0 };
    const target = feed.flushedRevision;
    for (let read = 0; read < BACKLOG_KEYS_PER_CALL && this.#backlog.revision < target; ) {
      const entries = feed.read(this.#backlog.revision, SLICE_KEYS_MAX);
      if (entries === 'gone' || entries.length === 0) break;
      for (const { revision, keys } of entries) {
        read += keys.length;
        this.#backlog.keys += keys.length;
        this.#backlog.revision = revision;
      }
    }
    return Math.min(this.#backlog.keys, BACKLOG_KEYS_MAX);
  }

  /** What was being worked on when the peer ended. Attempts of then may have reached the node. */
  #retake(number: number, cids: readonly Uint8Array[]): void {
    mark('tracker: work is taken up again after a crash');
    const piece: Piece = { number, source: 'feed', open: 0 };
    const entries = this.#consider(cids, 'changed', piece, true).entries;
    this.#nextPiece = Math.max(this.#nextPiece, number + 1);
    if (piece.open === 0) this.#needs.index.release(number);
    // Read before anything new was written: all of it is flushed once this is.
    this.#needs.storage
      .flushed()
      .then(() => this.#needs.work.unhold(entries))
      .catch((error) => this.#needs.logger.error('the store failed', { error }));
  }

  async #untilStopped(step: () => Promise<void>): Promise<void> {
    try {
      while (!this.#signal.aborted) await step();
    } catch (error) {
      if (!this.#signal.aborted) throw error;
    }
  }

  async #followOn(): Promise<void> {
    const { feed } = this.#needs.pinset;
    await this.#needs.work.room('feed', WINDOW_WISHES_MAX, this.#signal);
    const head = feed.flushedRevision;
    if (this.#revision === head) return feed.wait(head, { flushed: true, signal: this.#signal });
    const entries = this.#revision > head ? 'gone' : feed.read(this.#revision, SLICE_KEYS_MAX);
    if (entries === 'gone') return this.#beginWalk(head);
    const flushed = entries.filter(({ revision }) => revision <= head);
    const revision = flushed.at(-1)?.revision ?? head;
    if (flushed.some(({ everything }) => everything)) return this.#beginWalk(revision);
    await this.#takeEntries(flushed, revision);
  }

  async #takeEntries(entries: readonly FeedEntry[], revision: number): Promise<void> {
    const cids = wishesOf(entries.flatMap(({ keys }) => keys));
    // One entry may name a million keys. The position moves with the last of them.
    while (cids.length > SLICE_KEYS_MAX) {
      await this.#take(cids.splice(0, SLICE_KEYS_MAX), 'changed', 'feed', () => {});
      await this.#needs.work.room('feed', WINDOW_WISHES_MAX, this.#signal);
    }
    await this.#take(cids, 'changed', 'feed', () => this.#moveTo(revision));
  }

  #moveTo(revision: number): void {
    this.#revision = revision;
    if (this.#backlog.revision <= revision) this.#backlog = { revision, keys: 0 };
  }

  async #beginWalk(revision: number): Promise<void> {
    mark('tracker: the pinset is walked');
    this.#needs.logger.info('walking the pinset against the status index', { revision });
    this.#moveTo(revision);
    this.#walkNumber++;
    this.#walk = 'pins';
    this.#cursor = undefined;
    this.#walkBegun.resolve();
    this.#walkBegun = Promise.withResolvers();
    await this.#take([], 'seen', 'walk', () => {});
  }

  async #walkOn(): Promise<void> {
    if (this.#walk === 'none') return this.#walkWanted();
    await this.#needs.work.room('walk', WALK_WISHES_MAX, this.#signal);
    const number = this.#walkNumber;
    const { cids, walk, cursor } = this.#walk === 'pins' ? this.#nextPins() : this.#nextRows();
    await this.#take(cids, 'seen', 'walk', () => {
      if (number !== this.#walkNumber) return;
      this.#walk = walk;
      this.#cursor = cursor;
    });
    if (walk === 'none') this.#needs.logger.info('walked the pinset against the status index');
  }

  async #walkWanted(): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = () => aborted.resolve();
    this.#signal.addEventListener('abort', onAbort, { once: true });
    await Promise.race([this.#walkBegun.promise, aborted.promise]);
    this.#signal.removeEventListener('abort', onAbort);
  }

  #nextPins(): { cids: Uint8Array[]; walk: Walk; cursor: Uint8Array | undefined } {
    const keys = this.#needs.pinset.keys(this.#cursor, SLICE_KEYS_MAX);
    const last = keys.at(-1);
    return { cids: wishesOf(keys), walk: last === undefined ? 'rows' : 'pins', cursor: last };
  }

  #nextRows(): { cids: Uint8Array[]; walk: Walk; cursor: Uint8Array | undefined } {
    const rows = this.#needs.index.listAll(this.#cursor, SLICE_KEYS_MAX);
    const last = rows.at(-1)?.cid;
    return { cids: rows.map(({ cid }) => cid), walk: last === undefined ? 'none' : 'rows', cursor: last };
  }

  /** Looks at wishes, notes on disk those that need work and how far we are, and lets them begin when that is flushed. */
  async #take(
    cids: readonly Uint8Array[],
    occasion: Occasion,
    source: Piece['source'],
    move: () => void,
  ): Promise<void> {
    const { storage, index, work } = this.#needs;
    const piece: Piece = { number: this.#nextPiece++, source, open: 0 };
    const { entries, noted } = this.#consider(cids, occasion, piece, false);
    move();
    const commit = storage.transaction((tx) => {
      if (noted.length > 0) {
        tx.put(
          intakeTable,
          numberKey(piece.number),
          toBinary(IntakeRowSchema, create(IntakeRowSchema, { cids: noted })),
        );
      }
      tx.put(stateTable, positionKey, this.#position());
    });
    if (noted.length > 0 && piece.open === 0) index.release(piece.number);
    await Promise.all([commit.committed, commit.flushed]);
    work.unhold(entries);
  }

  #consider(cids: readonly Uint8Array[], occasion: Occasion, piece: Piece, maybeHeld: boolean) {
    const { work } = this.#needs;
    const entries: Entry[] = [];
    const noted: Uint8Array[] = [];
    for (const cid of cids) {
      const entry = work.consider(cid, { occasion, lane: 'fresh', maybeHeld });
      if (entry === undefined) continue;
      noted.push(cid);
      if (entry === 'written') continue;
      work.attach(entry, piece);
      entries.push(entry);
    }
    return { entries, noted };
  }

  #position(): Uint8Array {
    const position = create(TrackerPositionSchema, {
      revision: BigInt(this.#revision),
      walk: walks.indexOf(this.#walk),
      walkCursor: this.#cursor ?? new Uint8Array(0),
    });
    return toBinary(TrackerPositionSchema, position);
  }
}

/** The wishes that keys belong to, each once. */
function wishesOf(keys: readonly PinKey[]): Uint8Array[] {
  const wishes = new Map<string, Uint8Array>();
  for (const key of keys) {
    const cid = toV1(pinKeyParts(key).cid);
    wishes.set(byteString(cid), cid);
  }
  return [...wishes.values()];
}
