import { logKey } from '../../../src/consensus/crdt/state/keys.ts';
import { decodeReplicaRow, type ReplicaRow } from '../../../src/consensus/crdt/state/replica-row.ts';
import { logTable, replicasTable } from '../../../src/consensus/crdt/tables.ts';
import { decodeFeedRow } from '../../../src/pinset/codec/feed-row.ts';
import { decodePinRow } from '../../../src/pinset/codec/pin-row.ts';
import { revisionKey } from '../../../src/pinset/feed.ts';
import type { Names, PinRow } from '../../../src/pinset/pinset.ts';
import { setsIn } from '../../../src/pinset/sets-state.ts';
import { feedTable, type TableSet, tableSets } from '../../../src/pinset/tables.ts';
import type { Reader } from '../../../src/storage/storage.ts';
import { Violation } from '../world/violation.ts';
import { type BatchRecord, batchRecord, valueHash } from './batch-record.ts';
import type { Damaged, DamagedStore, Damages } from './damages.ts';
import { hexOf, short } from './hex.ts';
import type { History } from './history.ts';
import { checkIndexes, indexEntries, isIndexed } from './indexes.ts';
import { type TrueDot, Truth } from './truth.ts';

/** Who hears of what a disk does. */
export interface StoreWatch {
  onCut(rid: string, floor: number): void;
  /** It covers this for the first time. */
  onTaken(batch: BatchRecord): void;
}

interface Numbered {
  readonly number: number;
  readonly rid: string;
  readonly row: ReplicaRow;
}

/** Follows one store, flush by flush, and holds what is on its disk to the truth of its clock. */
export class StoreChecker {
  readonly #who: string;
  readonly #peerId: string;
  readonly #history: History;
  truth = new Truth();
  /** Of each replica's log, how far it was read. */
  readonly #read = new Map<number, number>();
  readonly #floors = new Map<string, number>();
  /** What this peer's disks have ever covered, also those that are lost. */
  readonly #ever = new Map<string, number>();
  readonly #watch: StoreWatch;
  #revision = 0;
  #names: Names | undefined;
  readonly #damages: Damages;
  readonly #damaged: DamagedStore;

  constructor({ who, peerId }: { who: string; peerId: string }, history: History, damages: Damages, watch: StoreWatch) {
    this.#watch = watch;
    this.#who = who;
    this.#peerId = peerId;
    this.#history = history;
    this.#damages = damages;
    this.#damaged = damages.of(who);
  }

  /** The disk was wiped, or an older copy was put in its place: clocks may go back, once. */
  replaced(): void {
    this.truth = new Truth();
    this.#read.clear();
    this.#floors.clear();
    this.#revision = 0;
  }

  /** To be called after each flush. */
  check(reader: Reader, names: Names): void {
    this.#names = names;
    const replicas = [...reader.range(replicasTable)].map(({ key, value }): Numbered => {
      const row = decodeReplicaRow(value);
      return { number: Buffer.from(key).readUInt32BE(0), rid: hexOf(row.rid), row };
    });
    const floors = new Map(replicas.map(({ rid, row }) => [rid, row.floor]));
    for (const replica of replicas) this.#learn(reader, replica, floors);
    const before = new Map<string, string>();
    for (const { rid, row } of replicas) this.#advance(rid, row, before);
    for (const { rid, row } of replicas) this.#checkDeps(rid, row.clock);
    const set = tableSets[setsIn(reader).live];
    for (const key of before.keys()) {
      if (this.#damaged.keys.has(key)) this.#damaged.writtenOver(key);
      else this.#checkRow(reader, set, key);
    }
    this.#checkFed(reader, before);
    for (const damaged of this.#damaged.keys.values())
      if (this.#isWhole(reader, set, damaged)) this.#damaged.keys.delete(damaged.key);
  }

  /** Everything at once: rows that nothing touched, the whole log, all indexes. */
  checkAll(reader: Reader, names: Names): void {
    this.#names = names;
    const set = tableSets[setsIn(reader).live];
    const keys = new Set([...reader.range(set.pins)].map(({ key }) => hexOf(key)));
    for (const key of this.truth.keys()) keys.add(key);
    for (const key of keys) if (!this.#damaged.keys.has(key)) this.#checkRow(reader, set, key);
    checkIndexes(reader, names, set, this.#who, this.#damaged);
    for (const { key, value } of reader.range(replicasTable)) {
      const row = decodeReplicaRow(value);
      this.#checkLog(reader, Buffer.from(key).readUInt32BE(0), hexOf(row.rid), row);
    }
  }

  covers(rid: string, sequence: number): boolean {
    return this.truth.covers(rid, sequence);
  }

  everCovered(rid: string, sequence: number): boolean {
    return sequence <= (this.#ever.get(rid) ?? 0);
  }

  #learn(reader: Reader, { number, rid, row }: Numbered, floors: ReadonlyMap<string, number>): void {
    const from = this.#read.get(number) ?? 0;
    if (row.clock <= from) return;
    for (const { value } of reader.range(logTable, {
      from: logKey(number, from + 1),
      to: logKey(number, row.clock + 1),
    })) {
      const batch = batchRecord(value);
      if (batch.rid !== rid)
        throw new Violation('I7', `${this.#who} has a batch of ${short(batch.rid)} in the log of ${short(rid)}`);
      this.#history.learn(batch, batch.author === this.#peerId, floors);
    }
    this.#read.set(number, row.clock);
  }

  #advance(rid: string, { clock, floor }: ReplicaRow, rows: Map<string, string>): void {
    const before = this.truth.clock.get(rid) ?? 0;
    if (clock < before)
      throw new Violation('I11', `C[${short(rid)}] of ${this.#who} went back from ${before} to ${clock}`);
    const floorBefore = this.#floors.get(rid) ?? 0;
    if (floor < floorBefore) throw new Violation('I11', `F[${short(rid)}] of ${this.#who} went back`);
    this.#floors.set(rid, floor);
    const ever = this.#ever.get(rid) ?? 0;
    this.#ever.set(rid, Math.max(clock, ever));
    // A floor that a swap has raised lies above what was covered before.
    if (floor > floorBefore && floor <= before) this.#watch.onCut(rid, floor);
    if (clock === before) return;
    for (const batch of this.#history.between(rid, before, clock, this.#who)) {
      if (batch.last > ever) this.#watch.onTaken(batch);
      this.truth.add(batch, rows);
    }
  }

  /** I12. */
  #checkFed(reader: Reader, before: ReadonlyMap<string, string>): void {
    const fed = new Set<string>();
    let isEverything = false;
    for (const { key, value } of reader.range(feedTable, { from: revisionKey(this.#revision + 1) })) {
      const revision = Number(Buffer.from(key).readBigUInt64BE());
      // Older ones may be gone by now.
      isEverything ||= revision !== this.#revision + 1;
      this.#revision = revision;
      const row = decodeFeedRow(value);
      isEverything ||= row.everything;
      for (const pinKey of row.keys) fed.add(hexOf(pinKey));
    }
    if (isEverything) return;
    for (const [key, row] of before) {
      if (!fed.has(key) && !this.#damaged.keys.has(key) && JSON.stringify(this.truth.row(key)) !== row)
        throw new Violation('I12', `${this.#who} changed ${key.slice(0, 8)}, and its feed does not name it`);
    }
  }

  #checkDeps(rid: string, clock: number): void {
    const batch = this.#history.batchesOf(rid).findLast(({ last }) => last === clock);
    if (batch === undefined) return;
    for (const [other, sequence] of this.#history.deps(batch)) {
      if (this.truth.covers(other, sequence)) continue;
      throw new Violation(
        'I3',
        `${this.#who} covers ${short(rid)} ${clock}, and not ${short(other)} ${sequence} that it rests on`,
      );
    }
  }

  #checkRow(reader: Reader, set: TableSet, key: string): void {
    const stored = reader.get(set.pins, Buffer.from(key, 'hex'));
    const row = stored === undefined ? [] : decodePinRow(stored);
    const is = JSON.stringify(this.#named(row));
    const should = JSON.stringify(this.truth.row(key));
    if (is !== should && !(this.#damages.muddled.has(key) && this.#hasAll(row, key))) {
      const invariant = row.some((dot) => !this.covers(this.#rid(dot.replica), dot.sequence)) ? 'I1' : 'I2';
      throw new Violation(invariant, `${this.#who}, key ${key.slice(0, 8)}: it has ${is}, its clock means ${should}`);
    }
    this.#checkIndexed(reader, set, key, row);
  }

  /** Every dot of the truth, and none that the clock does not cover. */
  #hasAll(row: PinRow, key: string): boolean {
    const dots = new Set(this.#named(row).map(({ dot }) => dot));
    const isCovered = row.every(({ replica, sequence }) => this.covers(this.#rid(replica), sequence));
    return isCovered && this.truth.row(key).every(({ dot }) => dots.has(dot));
  }

  #isWhole(reader: Reader, set: TableSet, { key, strays }: Damaged): boolean {
    const bytes = Buffer.from(key, 'hex');
    try {
      this.#checkRow(reader, set, key);
      const stored = reader.get(set.pins, bytes);
      const row = stored === undefined ? [] : decodePinRow(stored);
      return isIndexed(reader, this.#names as Names, set, { key: bytes, row, strays });
    } catch {
      return false;
    }
  }

  #checkIndexed(reader: Reader, set: TableSet, key: string, row: PinRow): void {
    for (const { table, entry } of indexEntries(this.#names as Names, set, Buffer.from(key, 'hex'), row)) {
      if (reader.get(table, entry) === undefined) {
        throw new Violation('INDEX', `${this.#who} lacks an entry of ${table} for the key ${key.slice(0, 8)}`);
      }
    }
  }

  /** I7. */
  #checkLog(reader: Reader, number: number, rid: string, { clock, floor }: ReplicaRow): void {
    for (const { first, last } of this.#history.batchesOf(rid)) {
      if (first <= floor || last > clock || reader.get(logTable, logKey(number, last)) !== undefined) continue;
      throw new Violation(
        'I7',
        `${this.#who} covers ${short(rid)} ${first}-${last}, above its floor ${floor}, and has it not in its log`,
      );
    }
  }

  #named(row: PinRow): TrueDot[] {
    const { peers } = this.#names as Names;
    const dots = row.map((dot) => ({
      dot: `${this.#rid(dot.replica)} ${dot.sequence}`,
      stamp: dot.stamp,
      value: valueHash(dot.value),
      placement: {
        stamp: dot.placementStamp,
        rid: this.#rid(dot.placementReplica),
        allocations: dot.allocations.map((peer) => peers.name(peer)),
      },
    }));
    return dots.sort((a, b) => (a.dot < b.dot ? -1 : 1));
  }

  #rid(number: number): string {
    return hexOf((this.#names as Names).replicas.name(number));
  }
}
