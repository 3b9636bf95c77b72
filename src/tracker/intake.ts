import { create, toBinary } from '@bufbuild/protobuf';
import { IntakeRowSchema, TrackerPositionSchema } from '../../gen/pinfold/store/v1/store_pb.ts';
import { byteString } from '../model/bytes.ts';
import { toV1 } from '../model/cid.ts';
import type { PinKey } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import type { FeedEntry, Pinset } from '../pinset/pinset.ts';
import { raceSignal } from '../runtime/abort.ts';
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
import { flowOf } from './flow.ts';
import type { Entry, Piece } from './lanes.ts';
import type { StatusIndex } from './status-index.ts';
import { storedIntake, storedPosition } from './stored.ts';
import { intakeKey, intakeKeyParts, intakeTable, positionKey, stateTable } from './tables.ts';
import type { Occasion } from './wish.ts';
import type { ConsiderInit, Work } from './work.ts';

export interface IntakeNeeds {
  pinset: Pick<Pinset, 'feed' | 'keys' | 'count'>;
  storage: Storage;
  index: StatusIndex;
  work: Work;
  logger: Logger;
  windowWishesMax?: number;
}

type Walk = 'none' | 'pins' | 'rows';
const walks = ['none', 'pins', 'rows'] as const;

/** Wishes by whose turn they take. */
type Wishes = ReadonlyMap<number, readonly Uint8Array[]>;

/** What waits on the disk of one flow. */
interface Waiting {
  /** The number of the first piece that was not read back. */
  from: number;
  wishes: number;
}

/**
 * Takes work from the pinset: follows its feed and, where the feed is gone or names everything, walks the pins and then
 * the status rows. Both positions are on disk. What is taken and not settled is in the table `tracker_intake`, written
 * in the same transaction as the position: one small row for some hundred wishes, where a row for each would cost a random
 * insert. The feed is always read to its end: what finds no room in memory stays in the table, by flow, and the flows take turns
 * to be read back, so that no namespace waits for all that another has written. After a crash everything in the table waits so,
 * and what it names may be held by the node.
 */
export class Intake {
  readonly #needs: IntakeNeeds;
  readonly #signal: AbortSignal;
  readonly #windowMax: number;
  /** Of the pinset's feed: all up to it is taken. */
  #revision = 0;
  #walk: Walk = 'none';
  #cursor: Uint8Array | undefined;
  /** Counts walks begun, so that a piece of an older one moves nothing. */
  #walkNumber = 0;
  #walkBegun = Promise.withResolvers<void>();
  #nextPiece = 1;
  #backlog = { revision: 0, keys: 0 };
  /** In the order of their turns. */
  readonly #waiting = new Map<number, Waiting>();
  #waitingWishes = 0;
  #waitingBegun = Promise.withResolvers<void>();
  /** Pieces below it were written before the peer was started. */
  #firstPiece = 1;
  /** Rows of the table cannot be read, or are gone. */
  #hasLost = false;

  constructor(needs: IntakeNeeds, signal: AbortSignal) {
    this.#needs = needs;
    this.#signal = signal;
    this.#windowMax = needs.windowWishesMax ?? WINDOW_WISHES_MAX;
  }

  open(): void {
    const { storage } = this.#needs;
    const stored = storage.read.get(stateTable, positionKey);
    const position = stored && storedPosition(stored);
    if (position !== undefined) {
      this.#revision = Number(position.revision);
      this.#walk = walks[position.walk] ?? 'pins';
      this.#cursor = position.walkCursor.length > 0 ? position.walkCursor : undefined;
    }
    // Whoever asked before did not know how far the feed had been read.
    this.#backlog = { revision: this.#revision, keys: 0 };
    for (const { key, value } of storage.read.range(intakeTable)) {
      const { flow, number } = intakeKeyParts(key);
      const row = storedIntake(value);
      if (row === undefined) this.#hasLost = true;
      else this.#wait(flow, { from: number, wishes: row.cids.length });
      this.#nextPiece = Math.max(this.#nextPiece, number + 1);
    }
    this.#firstPiece = this.#nextPiece;
    // What is not known to have been taken is looked at as if the feed did not reach back.
    if (stored !== undefined && position === undefined) this.#revision = Number.MAX_SAFE_INTEGER;
    if (this.#waiting.size > 0) mark('tracker: work is taken up again after a crash');
  }

  /** Runs until the signal aborts. */
  async run(): Promise<void> {
    const steps = [() => this.#followOn(), () => this.#readBackOn(), () => this.#walkOn()];
    await Promise.all(steps.map((step) => this.#untilStopped(step)));
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
    return Math.min(this.#backlog.keys + this.#waitingWishes, BACKLOG_KEYS_MAX);
  }

  /** Every committed change of the pinset has been looked at: what is to be done about it is in `Work`, or in a row that is being written. */
  get isLevel(): boolean {
    const { feed } = this.#needs.pinset;
    return this.#walk === 'none' && this.#waiting.size === 0 && this.#revision === feed.revision;
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
    const keys = entries.flatMap(({ keys }) => keys);
    // One entry may name a million keys. The position moves with the last of them.
    for (let from = 0; from + SLICE_KEYS_MAX < keys.length; from += SLICE_KEYS_MAX) {
      await this.#take(wishesOf(keys.slice(from, from + SLICE_KEYS_MAX)), 'changed', 'feed', () => {});
    }
    const rest = keys.length - (keys.length % SLICE_KEYS_MAX || SLICE_KEYS_MAX);
    await this.#take(wishesOf(keys.slice(Math.max(0, rest))), 'changed', 'feed', () => this.#moveTo(revision));
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
    await this.#take(new Map(), 'seen', 'walk', () => {});
  }

  async #walkOn(): Promise<void> {
    if (this.#walk === 'none') return this.#walkWanted();
    await this.#needs.work.room('walk', WALK_WISHES_MAX, this.#signal);
    const number = this.#walkNumber;
    const { wishes, walk, cursor } = this.#walk === 'pins' ? this.#nextPins() : this.#nextRows();
    await this.#take(wishes, 'seen', 'walk', () => {
      if (number !== this.#walkNumber) return;
      this.#walk = walk;
      this.#cursor = cursor;
    });
    if (walk === 'none') this.#needs.logger.info('walked the pinset against the status index');
  }

  async #walkWanted(): Promise<void> {
    await raceSignal(this.#walkBegun.promise, this.#signal);
  }

  #nextPins(): { wishes: Wishes; walk: Walk; cursor: Uint8Array | undefined } {
    const keys = this.#needs.pinset.keys(this.#cursor, SLICE_KEYS_MAX);
    const last = keys.at(-1);
    return { wishes: wishesOf(keys), walk: last === undefined ? 'rows' : 'pins', cursor: last };
  }

  #nextRows(): { wishes: Wishes; walk: Walk; cursor: Uint8Array | undefined } {
    const rows = this.#needs.index.listAll(this.#cursor, SLICE_KEYS_MAX);
    const last = rows.at(-1)?.cid;
    const flows = Map.groupBy(rows, ({ row }) => row.flow);
    const wishes = new Map(Array.from(flows, ([flow, rows]) => [flow, rows.map(({ cid }) => cid)]));
    return { wishes, walk: last === undefined ? 'none' : 'rows', cursor: last };
  }

  /**
   * Looks at wishes, notes on disk those that need work and how far we are, and lets those begin, when that is flushed, for which
   * there is room.
   */
  async #take(wishes: Wishes, occasion: Occasion, source: Piece['source'], move: () => void): Promise<void> {
    const { storage, index, work } = this.#needs;
    const isFull = source === 'feed' && (this.#waiting.size > 0 || !work.hasRoom('feed', this.#windowMax));
    const taken: Piece[] = [];
    const entries: Entry[] = [];
    const rows: { key: Uint8Array; cids: Uint8Array[]; waits: boolean }[] = [];
    const waiting: [flow: number, Waiting][] = [];
    for (const [flow, cids] of wishes) {
      const piece: Piece = { flow, number: this.#nextPiece++, source, open: 0 };
      const looked = this.#consider(cids, piece, { occasion, isFull, maybeHeld: false });
      entries.push(...looked.entries);
      if (looked.noted.length > 0) {
        rows.push({ key: intakeKey(piece), cids: looked.noted, waits: false });
        taken.push(piece);
      }
      if (looked.left.length > 0) {
        const from = this.#nextPiece++;
        rows.push({ key: intakeKey({ flow, number: from }), cids: looked.left, waits: true });
        waiting.push([flow, { from, wishes: looked.left.length }]);
      }
    }
    move();
    const commit = storage.transaction((tx) => {
      for (const { key, cids, waits } of rows) {
        tx.put(intakeTable, key, toBinary(IntakeRowSchema, create(IntakeRowSchema, { cids, waits })));
      }
      tx.put(stateTable, positionKey, this.#position());
    });
    for (const piece of taken) if (piece.open === 0) index.release(piece);
    await Promise.all([commit.committed, commit.flushed]);
    for (const [flow, init] of waiting) this.#wait(flow, init);
    work.unhold(entries);
  }

  #wait(flow: number, { from, wishes }: Waiting): void {
    if (this.#waiting.size === 0) {
      this.#waitingBegun.resolve();
      this.#waitingBegun = Promise.withResolvers();
    }
    const waiting = this.#waiting.get(flow);
    if (waiting === undefined) this.#waiting.set(flow, { from, wishes });
    else waiting.wishes += wishes;
    this.#waitingWishes += wishes;
  }

  async #readBackOn(): Promise<void> {
    const { storage, work } = this.#needs;
    if (this.#hasLost) return this.#lookAgain();
    if (this.#waiting.size === 0) return raceSignal(this.#waitingBegun.promise, this.#signal);
    await work.room('feed', this.#windowMax, this.#signal);
    const entries: Entry[] = [];
    for (let read = 0; read < SLICE_KEYS_MAX && this.#waiting.size > 0; ) read += this.#readBack(entries);
    await storage.flushed();
    work.unhold(entries);
  }

  /** A walk finds what was named by rows that the disk has changed or lost. Those that cannot be read go when it is on the disk. */
  async #lookAgain(): Promise<void> {
    const { storage, logger } = this.#needs;
    this.#hasLost = false;
    const unreadable: Uint8Array[] = [];
    for (const { key, value } of storage.read.range(intakeTable))
      if (storedIntake(value) === undefined) unreadable.push(key);
    logger.warn('notes of work not done yet are damaged', { unreadable: unreadable.length });
    await this.#beginWalk(this.#revision);
    await storage.transaction((tx) => {
      for (const key of unreadable) tx.remove(intakeTable, key);
    }).flushed;
  }

  /** A piece of the flow whose turn it is. Answers how many wishes are in it. */
  #readBack(into: Entry[]): number {
    const [[flow, waiting]] = this.#waiting as unknown as [[number, Waiting]];
    const next = this.#nextWaiting(flow, waiting.from);
    if (next === undefined) {
      this.#hasLost = true;
      this.#waitingWishes -= waiting.wishes;
      this.#waiting.delete(flow);
      return 0;
    }
    const { number, cids } = next;
    const left = waiting.wishes - cids.length;
    this.#waitingWishes -= cids.length;
    this.#waiting.delete(flow);
    if (left > 0) this.#waiting.set(flow, { from: number + 1, wishes: left });
    const piece: Piece = { flow, number, source: 'feed', open: 0 };
    const maybeHeld = number < this.#firstPiece;
    into.push(...this.#consider(cids, piece, { occasion: 'changed', isFull: false, maybeHeld }).entries);
    if (piece.open === 0) this.#needs.index.release(piece);
    return cids.length;
  }

  /**
   * From that number on. Among those that wait are pieces that have been in memory since they were written. Undefined: the rest is
   * damaged, or gone.
   */
  #nextWaiting(flow: number, from: number): { number: number; cids: Uint8Array[] } | undefined {
    const range = { from: intakeKey({ flow, number: from }), to: intakeKey({ flow, number: this.#nextPiece }) };
    for (const { key, value } of this.#needs.storage.read.range(intakeTable, range)) {
      const { number } = intakeKeyParts(key);
      const row = storedIntake(value);
      if (row === undefined) this.#hasLost = true;
      else if (row.waits || number < this.#firstPiece) return { number, cids: row.cids };
    }
    return undefined;
  }

  /** `noted`: those that are taken. `left`: those for which there is no room. */
  #consider(cids: readonly Uint8Array[], piece: Piece, init: Pick<ConsiderInit, 'occasion' | 'isFull' | 'maybeHeld'>) {
    const { work } = this.#needs;
    const entries: Entry[] = [];
    const noted: Uint8Array[] = [];
    const left: Uint8Array[] = [];
    for (const cid of cids) {
      const entry = work.consider(cid, { ...init, lane: 'fresh', flow: piece.flow });
      if (entry === undefined) continue;
      (entry === 'full' ? left : noted).push(cid);
      if (typeof entry !== 'object') continue;
      work.attach(entry, piece);
      entries.push(entry);
    }
    return { entries, noted, left };
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

/** The wishes that keys belong to, each once a flow. */
function wishesOf(keys: readonly PinKey[]): Wishes {
  const flows = new Map<number, Map<string, Uint8Array>>();
  for (const key of keys) {
    const { cid, namespace } = pinKeyParts(key);
    const flow = flowOf(namespace);
    const wishes = flows.get(flow) ?? new Map<string, Uint8Array>();
    flows.set(flow, wishes);
    const v1 = toV1(cid);
    wishes.set(byteString(v1), v1);
  }
  return new Map(Array.from(flows, ([flow, wishes]) => [flow, [...wishes.values()]]));
}
