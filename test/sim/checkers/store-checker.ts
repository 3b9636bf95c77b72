import { logKey } from '../../../src/consensus/crdt/state/keys.ts';
import { decodeReplicaRow, type ReplicaRow } from '../../../src/consensus/crdt/state/replica-row.ts';
import { logTable, replicasTable } from '../../../src/consensus/crdt/tables.ts';
import { bucketOf } from '../../../src/model/pin-key.ts';
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
import { type ForkRow, forksIn, isRewriting } from './fork-rows.ts';
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

/** Keys whose rows changed, with the rows before; and what the feed says of it. */
interface Changed {
  readonly rows: Map<string, string>;
  readonly fed: Set<string>;
  isEverything: boolean;
}

function unchanged(): Changed {
  return { rows: new Map(), fed: new Set(), isEverything: false };
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
  /** Of each replica the batches that the clock covers, in order. */
  readonly #held = new Map<string, readonly BatchRecord[]>();
  readonly #hashes = new Set<string>();
  /** What this peer's disks have ever covered, also those that are lost. */
  readonly #ever = new Map<string, number>();
  readonly #everHashes = new Set<string>();
  readonly #watch: StoreWatch;
  #revision = 0;
  /** What has changed since the rows were last those of the clock. */
  #changed: Changed = unchanged();
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
    this.#held.clear();
    this.#hashes.clear();
    this.#revision = 0;
    this.#changed = unchanged();
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
    const forks = forksIn(reader);
    for (const replica of replicas) this.#advance(replica, forks);
    for (const { rid } of replicas) this.#checkDeps(rid);
    this.#readFeed(reader);
    if (isRewriting(forks)) return;
    const set = tableSets[setsIn(reader).live];
    const { rows } = this.#changed;
    for (const key of rows.keys()) {
      if (this.#damaged.keys.has(key)) this.#damaged.writtenOver(key);
      else this.#checkRow(reader, set, key);
    }
    this.#checkFed();
    this.#changed = unchanged();
    for (const damaged of this.#damaged.keys.values())
      if (!damaged.isPending?.() && this.#isWhole(reader, set, damaged)) this.#damaged.keys.delete(damaged.key);
  }

  /** Everything at once: rows that nothing touched, the whole log, all indexes. */
  checkAll(reader: Reader, names: Names): void {
    this.#names = names;
    const set = tableSets[setsIn(reader).live];
    const keys = new Set([...reader.range(set.pins)].map(({ key }) => hexOf(key)));
    for (const key of this.truth.keys()) keys.add(key);
    if (isRewriting(forksIn(reader))) keys.clear();
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

  /** A batch, by its hash: also where a number names two. */
  holds(hash: string): boolean {
    return this.#hashes.has(hash);
  }

  everHeld(hash: string): boolean {
    return this.#everHashes.has(hash);
  }

  /** With what each replica's history ends here. */
  heads(): string[] {
    return [...this.#held.values()].flatMap((batches) => batches.at(-1)?.hash ?? []).sort();
  }

  /** The batch of that operation, of the history that this store has. */
  batchAt(rid: string, sequence: number): BatchRecord | undefined {
    return this.#held.get(rid)?.findLast(({ first, last }) => first <= sequence && sequence <= last);
  }

  everCovered(rid: string, sequence: number): boolean {
    return sequence <= (this.#ever.get(rid) ?? 0);
  }

  #learn(reader: Reader, { number, rid, row }: Numbered, floors: ReadonlyMap<string, number>): void {
    const from = Math.min(this.#read.get(number) ?? 0, this.truth.clock.get(rid) ?? 0);
    this.#read.set(number, row.clock);
    if (row.clock <= from) return;
    for (const { key, value } of reader.range(logTable, {
      from: logKey(number, from + 1),
      to: logKey(number, row.clock + 1),
    })) {
      // Of a shadow that was swapped in: what another store has told of it is known.
      if (this.#damaged.batches.has(hexOf(key))) continue;
      const batch = batchRecord(value);
      if (batch.rid !== rid)
        throw new Violation('I7', `${this.#who} has a batch of ${short(batch.rid)} in the log of ${short(rid)}`);
      this.#history.learn(batch, batch.author === this.#peerId, floors);
    }
  }

  #advance({ number, rid, row: { clock, floor, hash } }: Numbered, forks: readonly ForkRow[]): void {
    const before = this.truth.clock.get(rid) ?? 0;
    const floorBefore = this.#floors.get(rid) ?? 0;
    if (floor < floorBefore) throw new Violation('I11', `F[${short(rid)}] of ${this.#who} went back`);
    this.#floors.set(rid, floor);
    // A floor that a swap has raised lies above what was covered before; up to a damaged batch it rises whoever lacks that.
    const isCut = floor > floorBefore && floor <= before && !this.#damaged.batches.has(hexOf(logKey(number, floor)));
    if (isCut) this.#watch.onCut(rid, floor);
    const head = hexOf(hash);
    const held = this.#held.get(rid) ?? [];
    const from = held.at(-1)?.hash ?? '';
    if (head === from) return;
    const batches = this.#history.branch(rid, { head, clock, from }, this.#who);
    if ((batches[0]?.prev ?? head) === from) for (const batch of batches) this.#take(batch);
    else this.#changeBranch(rid, { held, batches, number, forks });
  }

  #take(batch: BatchRecord): void {
    const { rid, hash, last } = batch;
    if (!this.#everHashes.has(hash)) {
      this.#everHashes.add(hash);
      this.#ever.set(rid, Math.max(last, this.#ever.get(rid) ?? 0));
      // Before the truth moves: a checker of moves asks it where the pin lay.
      this.#watch.onTaken(batch);
    }
    this.#held.set(rid, [...(this.#held.get(rid) ?? []), batch]);
    this.#hashes.add(hash);
    this.truth.add(batch, this.#changed.rows);
  }

  /** I11: only an author that was told of its fork goes back, to where the two part (N4). */
  #changeBranch(
    rid: string,
    {
      held,
      batches,
      number,
      forks,
    }: { held: readonly BatchRecord[]; batches: BatchRecord[]; number: number; forks: readonly ForkRow[] },
  ): void {
    const kept = new Set(batches.map(({ hash }) => hash));
    const common = held.findLast(({ hash }) => kept.has(hash))?.last ?? 0;
    const isSaid = forks.some(
      ({ replica, first, state }) =>
        replica === number && first === common + 1 && (state === 'rewriting' || state === 'settled'),
    );
    const isAuthor = batches.concat(held).some(({ author }) => author === this.#peerId);
    if (!isSaid || !isAuthor) throw new Violation('I11', `C[${short(rid)}] of ${this.#who} went back to ${common}`);
    const all = [...this.#held].flatMap(([other, theirs]) => (other === rid ? batches : theirs));
    for (const key of this.truth.keys()) this.#noteRow(key);
    this.truth = new Truth();
    this.#held.clear();
    this.#hashes.clear();
    for (const batch of all) this.#take(batch);
  }

  #noteRow(key: string): void {
    const { rows } = this.#changed;
    if (!rows.has(key)) rows.set(key, JSON.stringify(this.truth.row(key)));
  }

  #readFeed(reader: Reader): void {
    const changed = this.#changed;
    for (const { key, value } of reader.range(feedTable, { from: revisionKey(this.#revision + 1) })) {
      const revision = Number(Buffer.from(key).readBigUInt64BE());
      // Older ones may be gone by now.
      changed.isEverything ||= revision !== this.#revision + 1;
      this.#revision = revision;
      const row = decodeFeedRow(value);
      changed.isEverything ||= row.everything;
      for (const pinKey of row.keys) changed.fed.add(hexOf(pinKey));
    }
  }

  /** I12. */
  #checkFed(): void {
    const { rows, fed, isEverything } = this.#changed;
    if (isEverything) return;
    for (const [key, row] of rows) {
      if (!fed.has(key) && !this.#damaged.keys.has(key) && JSON.stringify(this.truth.row(key)) !== row)
        throw new Violation('I12', `${this.#who} changed ${key.slice(0, 8)}, and its feed does not name it`);
    }
  }

  #checkDeps(rid: string): void {
    const batch = this.#held.get(rid)?.at(-1);
    if (batch === undefined) return;
    for (const [other, sequence] of this.#history.deps(batch)) {
      if (this.truth.covers(other, sequence) || this.#history.isForkable(other, sequence)) continue;
      throw new Violation(
        'I3',
        `${this.#who} covers ${short(rid)} ${batch.last}, and not ${short(other)} ${sequence} that it rests on`,
      );
    }
  }

  #checkRow(reader: Reader, set: TableSet, key: string): void {
    const stored = reader.get(set.pins, Buffer.from(key, 'hex'));
    const row = stored === undefined ? [] : decodePinRow(stored);
    const [named, truth] = [this.#named(row), this.truth.row(key)];
    const [is, should] = [JSON.stringify(named), JSON.stringify(truth)];
    const isLess = is !== should && isPartOf(named, truth);
    // What was written on where it was forgotten has not seen it.
    if (isLess && !this.#damaged.keys.has(key) && this.#damages.isForgotten(key)) {
      this.#damaged.add({ what: 'forget', key, bucket: bucketOf(Buffer.from(key, 'hex')), strays: [] });
      return;
    }
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
    for (const { first, last } of this.#held.get(rid) ?? []) {
      const logged = logKey(number, last);
      if (first <= floor || last > clock || reader.get(logTable, logged) !== undefined) continue;
      if (this.#damaged.batches.has(hexOf(logged))) continue;
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

function isPartOf(row: readonly TrueDot[], whole: readonly TrueDot[]): boolean {
  const dots = new Set(whole.map((dot) => JSON.stringify(dot)));
  return row.every((dot) => dots.has(JSON.stringify(dot)));
}
