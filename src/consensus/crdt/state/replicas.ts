import { hash } from 'node:crypto';
import { byteString, compareBytes } from '../../../model/bytes.ts';
import { formatPeerId, isPeerIdBytes } from '../../../model/peer-id.ts';
import type { Names } from '../../../pinset/pinset.ts';
import type { Reader, Transaction } from '../../../storage/storage.ts';
import type { Taken, TakenClock } from '../core/judge.ts';
import type { IncEntry } from '../core/types.ts';
import { replicasTable } from '../tables.ts';
import { numberKey } from './keys.ts';
import { decodeReplicaRow, encodeReplicaRow } from './replica-row.ts';

/** What this store knows of one replica: `sequence` is C[r] and `hash` H[r], as of the last transaction queued. */
export interface Replica extends Taken {
  readonly number: number;
  readonly rid: Uint8Array;
  readonly ridText: string;
  /** Binary and text. */
  readonly author: Uint8Array;
  readonly peerId: string;
  readonly incarnation: Uint8Array;
  sequence: number;
  hash: Uint8Array;
  /** F[r]. */
  floor: number;
  frozen: string;
  isForked: boolean;
  settled: ReadonlyMap<number, Uint8Array>;
  /** C[r] and H[r] of the flushed state: what may be spoken of (F1). */
  flushedSequence: number;
  flushedHash: Uint8Array;
  /** Of an own one: others are asked to acknowledge what comes up to here (R7). */
  wantedSequence: number;
}

export interface ReplicaName {
  rid: Uint8Array;
  author: Uint8Array;
  incarnation: Uint8Array;
}

/** C[r] := sequence, H[r] := hash. */
export interface ClockStep {
  replica: Replica;
  sequence: number;
  hash: Uint8Array;
}

const none = new Uint8Array(0);
const prefixBytes = 8;

/** The clock of this store, in memory, beside its rows on disk. */
export class Replicas implements TakenClock {
  readonly #names: Names;
  readonly #byText = new Map<string, Replica>();
  readonly #byNumber: Replica[] = [];
  #sorted: Replica[] | undefined;
  #flushedHash: Uint8Array | undefined;
  /** Counts what was flushed: a cheap "has anything changed". */
  flushedVersion = 0;

  constructor(names: Names) {
    this.#names = names;
  }

  load(reader: Reader): void {
    for (const { key, value } of reader.range(replicasTable)) {
      const row = decodeReplicaRow(value);
      const replica = newReplica(Buffer.from(key).readUInt32BE(0), { ...row, author: row.peerId });
      replica.sequence = replica.flushedSequence = row.clock;
      replica.hash = replica.flushedHash = row.hash;
      replica.floor = row.floor;
      replica.frozen = row.frozen;
      this.#add(replica);
    }
  }

  get size(): number {
    return this.#byText.size;
  }

  taken(ridText: string): Replica | undefined {
    return this.#byText.get(ridText);
  }

  byNumber(number: number): Replica | undefined {
    return this.#byNumber[number];
  }

  /** Gives it its local number if need be: never inside a transaction. Throws LIMIT_REACHED. */
  ensure(name: ReplicaName): Replica {
    const known = this.#byText.get(byteString(name.rid));
    if (known !== undefined) return known;
    const replica = newReplica(this.#names.replicas.ensure(name.rid), name);
    this.#add(replica);
    return replica;
  }

  covers({ rid, sequence }: IncEntry): boolean {
    return sequence <= (this.#byText.get(byteString(rid))?.sequence ?? 0);
  }

  flushedCovers({ rid, sequence }: IncEntry): boolean {
    return sequence <= (this.#byText.get(byteString(rid))?.flushedSequence ?? 0);
  }

  /** Those that were taken in, by rid. */
  sorted(): readonly Replica[] {
    this.#sorted ??= [...this.#byText.values()].sort((a, b) => compareBytes(a.rid, b.rid));
    return this.#sorted;
  }

  /** C as of the last transaction queued. */
  get clock(): Map<string, number> {
    return new Map(this.sorted().map(({ ridText, sequence }) => [ridText, sequence]));
  }

  /** C of the flushed state, without what it does not have. */
  get flushedClock(): Map<string, number> {
    const taken = this.sorted().filter(({ flushedSequence }) => flushedSequence > 0);
    return new Map(taken.map(({ ridText, flushedSequence }) => [ridText, flushedSequence]));
  }

  /** F. */
  get floors(): Map<string, number> {
    return new Map(this.sorted().map(({ ridText, floor }) => [ridText, floor]));
  }

  /** Entries of the clock C. */
  get entries(): number {
    let entries = 0;
    for (const { sequence } of this.#byText.values()) if (sequence > 0) entries++;
    return entries;
  }

  /** Nothing was ever taken in. */
  get isEmpty(): boolean {
    for (const { sequence } of this.#byText.values()) if (sequence > 0) return false;
    return true;
  }

  /** The same of the flushed state. */
  get isFlushedEmpty(): boolean {
    for (const { flushedSequence } of this.#byText.values()) if (flushedSequence > 0) return false;
    return true;
  }

  /** Whether all that was taken in is on the disk. */
  get isFlushed(): boolean {
    for (const { sequence, flushedSequence } of this.#byText.values()) if (sequence !== flushedSequence) return false;
    return true;
  }

  /** Writes what the row will be after a step; the step itself is taken when the transaction is queued. */
  put(tx: Transaction, { replica, sequence, hash }: ClockStep, floor = replica.floor): void {
    const { rid, author, incarnation, frozen } = replica;
    const row = { rid, peerId: author, incarnation, clock: sequence, hash, floor, frozen };
    tx.put(replicasTable, numberKey(replica.number), encodeReplicaRow(row));
  }

  /** I11: a clock never goes back. */
  step({ replica, sequence, hash }: ClockStep): void {
    if (sequence < replica.sequence) throw new Error(`C[${replica.number}] went back (I11)`);
    replica.sequence = sequence;
    replica.hash = hash;
  }

  /** N4: an own branch is given up. Nothing may be in flight; less than what was told is told from now on. */
  goBack({ replica, sequence, hash }: ClockStep): void {
    replica.sequence = sequence;
    replica.hash = hash;
    this.flushed([{ replica, sequence, hash }]);
  }

  flushed(steps: readonly ClockStep[]): void {
    for (const { replica, sequence, hash } of steps) {
      replica.flushedSequence = sequence;
      replica.flushedHash = hash;
    }
    this.#flushedHash = undefined;
    this.flushedVersion++;
  }

  /** SHA-256 over the flushed clock, entries (rid, sequence, first 8 bytes of H) sorted by rid: unequal for forks, too. */
  flushedHash(): Uint8Array {
    this.#flushedHash ??= hashOf(this.sorted());
    return this.#flushedHash;
  }

  #add(replica: Replica): void {
    this.#byText.set(replica.ridText, replica);
    this.#byNumber[replica.number] = replica;
    this.#sorted = undefined;
  }
}

function newReplica(number: number, { rid, author, incarnation }: ReplicaName): Replica {
  return {
    number,
    rid,
    ridText: byteString(rid),
    author,
    peerId: isPeerIdBytes(author) ? formatPeerId(author) : '',
    incarnation,
    sequence: 0,
    hash: none,
    floor: 0,
    frozen: '',
    isForked: false,
    settled: new Map(),
    flushedSequence: 0,
    flushedHash: none,
    wantedSequence: 0,
  };
}

function hashOf(sorted: readonly Replica[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { rid, flushedSequence, flushedHash } of sorted) {
    if (flushedSequence === 0) continue;
    const sequence = Buffer.allocUnsafe(8);
    sequence.writeBigUInt64BE(BigInt(flushedSequence));
    parts.push(rid, sequence, flushedHash.subarray(0, prefixBytes));
  }
  return hash('sha256', Buffer.concat(parts), 'buffer');
}
