import { create } from '@bufbuild/protobuf';
import { MergeRangeRequestSchema, type RangeRows } from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { byteString, equalBytes } from '../../../model/bytes.ts';
import { formatPeerId } from '../../../model/peer-id.ts';
import { bucketCount } from '../../../model/pin-key.ts';
import { Malformed } from '../../../pinset/codec/reader.ts';
import type { PinsetSnapshot } from '../../../pinset/pinset.ts';
import type { Timers } from '../../../runtime/clock.ts';
import { mark } from '../../../runtime/mark.ts';
import type { HeardEntry } from '../codec/clock-entries.ts';
import { clockOf, type FullClockEntry, readRangeHead } from '../codec/range-head.ts';
import { readRangeRows } from '../codec/range-rows.ts';
import { CLOCK_ENTRIES_MAX, RANGE_BUCKETS_MAX, RANGE_SNAPSHOT_MS } from '../constants.ts';
import { type Clock, covers } from '../core/clocks.ts';
import { answered } from '../core/rebuild.ts';
import { findForkPoint } from '../forks/list-headers.ts';
import { ownBranch } from '../forks/own-branch.ts';
import type { CrdtMetrics } from '../metrics.ts';
import type { PeerCalls } from '../peer-calls.ts';
import type { CrdtStore } from '../state/store.ts';
import { type MergedPiece, MergedRows } from './merged-rows.ts';
import { OwnRows } from './own-rows.ts';
import { Unusable, Useless } from './problems.ts';
import { RangeCheck } from './range-check.ts';
import type { ShadowState } from './shadow-state.ts';

export interface RangeFillNeeds {
  store: CrdtStore;
  rpc: PeerCalls;
  timers: Timers;
  metrics: CrdtMetrics;
  /** A clock of another peer: news, forks, and whether this store was rolled back (B2, N3). */
  onClock(from: string, clock: readonly HeardEntry[]): void;
  /** Throws when there is too little disk for a set of that size. */
  checkRoom(bytes: number): void;
  onProgress(): void;
  /** Buckets of which the own rows are known to be damaged. */
  damaged: ReadonlySet<number>;
  /** Buckets of which the source's rows were not what its digests said. */
  doubted: readonly number[];
}

/** B1 and B2 for one range: the next of the shadow, merged of mine and of one source's. */
export class RangeFill {
  readonly #needs: RangeFillNeeds;
  readonly #state: ShadowState;
  readonly #source: string;
  readonly #from: number;
  readonly #to: number;
  readonly #isMineDamaged: boolean;
  readonly #replicas: number[] = [];
  readonly #peers: number[] = [];
  #merged: MergedRows | undefined;
  #accept = () => {};
  #written = Promise.resolve();
  #writtenBefore = Promise.resolve();
  /** Of the own snapshot: its log must not be cut above while the answer is not taken. */
  cm: Clock | undefined;

  constructor(needs: RangeFillNeeds, state: ShadowState, source: string) {
    this.#needs = needs;
    this.#state = state;
    this.#source = source;
    this.#from = needs.store.needs.pinset.shadow.nextBucket;
    this.#isMineDamaged = needs.damaged.has(this.#from);
    this.#to = this.#isMineDamaged ? this.#from + 1 : this.#soundTo();
  }

  /** Up to what is damaged here: of that another rule holds. */
  #soundTo(): number {
    const to = Math.min(this.#from + RANGE_BUCKETS_MAX, bucketCount);
    return Math.min(to, ...[...this.#needs.damaged].filter((bucket) => bucket > this.#from));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { store, timers } = this.#needs;
    const snapshot = await store.needs.pinset.snapshot();
    const limit = new AbortController();
    const timer = timers.after(RANGE_SNAPSHOT_MS, () => limit.abort(new Unusable('the source took too long')));
    try {
      await this.#call(snapshot, AbortSignal.any([signal, limit.signal]));
    } finally {
      timer.cancel();
      snapshot.close();
      await this.#written;
    }
  }

  async #call(snapshot: PinsetSnapshot, signal: AbortSignal): Promise<void> {
    const own = clockOf(snapshot.reader);
    this.cm = sequencesOf(own);
    const { scrub } = this.#needs.store.needs.pinset;
    const range = { from: this.#from, to: this.#to, isDamaged: this.#isMineDamaged };
    const mine = new OwnRows({ scrub, snapshot, ...range });
    // All of them, where mine are damaged.
    const isEmpty = this.#isMineDamaged || mine.next === undefined;
    const digests = isEmpty ? new Uint8Array(0) : snapshot.digest.buckets(this.#from, this.#to);
    const request = create(MergeRangeRequestSchema, {
      from: this.#from,
      to: this.#to,
      digests,
      doubted: [...this.#needs.doubted],
    });
    for await (const { message } of this.#needs.rpc.call(this.#source, 'mergeRange', [request], { signal })) {
      if (message.case === 'head') {
        this.#needs.checkRoom(Number(message.value.liveBytes));
        const ct = readRangeHead(message.value);
        await this.#checkForked(ct, own, signal);
        this.#merged = this.#answered(ct, message.value.digests, own, mine, snapshot.revision);
      } else if (message.case === 'rows') {
        await this.#append(this.#begun.add(this.#rows(message.value), message.value.equalBuckets));
      } else if (message.case === 'end') {
        await this.#append(this.#begun.end(message.value.to));
        return;
      }
    }
    throw new Unusable('the answer ended too soon');
  }

  get #begun(): MergedRows {
    if (this.#merged === undefined) throw new Malformed('an answer without a head');
    return this.#merged;
  }

  /** E := Cm join Ct, if it covers C'. */
  #answered(
    ct: FullClockEntry[],
    digests: Uint8Array,
    own: FullClockEntry[],
    mine: OwnRows,
    revision: number,
  ): MergedRows {
    const { store, onClock } = this.#needs;
    onClock(
      this.#source,
      ct.map(({ name, sequence, hash }) => ({ rid: name.rid, sequence, hashPrefix: hash.subarray(0, 8) })),
    );
    this.#checkHistories(ct, own);
    const { clock, changed } = this.#state;
    const [cm, theirs] = [sequencesOf(own), sequencesOf(ct)];
    if (this.#isMineDamaged && !covers(theirs, cm)) {
      const problem = `rows of bucket ${this.#from} are damaged here, and the source lacks operations that this peer has`;
      throw new Unusable(problem);
    }
    const clocks = answered(clock.clocks, cm, theirs);
    if (clocks === 'useless') {
      mark('crdt rebuild: useless source');
      throw new Useless('the source has nothing new');
    }
    if (clocks === 'behind') {
      mark('crdt rebuild: source behind the shadow');
      throw new Unusable('the source is behind the shadow');
    }
    // With its first rows, and not before: an answer that breaks off without any was none.
    this.#accept = () => {
      if (!clock.isBegun) changed.sinceRevision = revision;
      clock.answered(clocks, ahead(own, ct), store.replicas);
      this.#accept = () => {};
    };
    const covered = (of: Clock) => (replica: number) => of.get(store.replicas.byNumber(replica)?.ridText ?? '') ?? 0;
    const rids = store.needs.pinset.names.replicas;
    const range = { from: this.#from, to: this.#to };
    const check = new RangeCheck(store.needs.pinset.names, { ...range, digests });
    return new MergedRows({
      check,
      ...{ mine, isMineDamaged: this.#isMineDamaged, rids, ...range },
      ...{ cm: covered(cm), ct: covered(theirs) },
    });
  }

  /** B2: rows of another history must not be merged, nor of an own one beyond me (N3: a new incarnation comes first). */
  #checkHistories(ct: readonly FullClockEntry[], own: readonly FullClockEntry[]): void {
    const { store } = this.#needs;
    const mine = new Map(own.map((entry) => [byteString(entry.name.rid), entry]));
    for (const { name, sequence, hash } of ct) {
      const ridText = byteString(name.rid);
      for (const known of [mine.get(ridText), this.#state.clock.taken(ridText)]) {
        if (known?.sequence === sequence && !equalBytes(known.hash, hash)) {
          throw new Unusable('the source has another history of an author');
        }
      }
      if (ridText === store.own.ridText && sequence > store.own.sequence) {
        throw new Unusable('the source knows more of this peer than its store; a new incarnation must come first');
      }
    }
    if (new Set([...mine.keys(), ...ct.map(({ name }) => byteString(name.rid))]).size > CLOCK_ENTRIES_MAX) {
      throw new Unusable('the clock would have too many entries');
    }
  }

  /**
   * B2, of an author that is known to have written two histories, where the source is further in one or behind in one: which of them it is,
   * no clock tells. Rows of the other would take the place of what was acknowledged here.
   */
  async #checkForked(
    ct: readonly FullClockEntry[],
    own: readonly FullClockEntry[],
    signal: AbortSignal,
  ): Promise<void> {
    const { store, rpc } = this.#needs;
    const mine = new Map(own.map((entry) => [byteString(entry.name.rid), entry.sequence]));
    for (const { name, sequence } of ct) {
      const known = mine.get(byteString(name.rid)) ?? 0;
      const replica = store.replicas.taken(byteString(name.rid));
      if (known === 0 || replica === undefined || !store.forks.isParted(replica, Math.max(known, sequence))) continue;
      const asked = { peerId: this.#source, rid: name.rid, own: ownBranch(store, replica), signal };
      if ((await findForkPoint(rpc, asked)) !== undefined)
        throw new Unusable('the source has another history of an author');
    }
  }

  #rows({ rids, peers, rows }: RangeRows) {
    const { names } = this.#needs.store.needs.pinset;
    for (const rid of rids) this.#replicas.push(names.replicas.ensure(rid));
    for (const peer of peers) this.#peers.push(names.peers.ensure(formatPeerId(peer)));
    return readRangeRows(rows, this.#replicas, this.#peers);
  }

  /** One transaction is on its way to the disk while the next is read. */
  async #append(pieces: Iterable<MergedPiece>): Promise<void> {
    for (const piece of pieces) {
      await this.#writtenBefore;
      this.#writtenBefore = this.#written;
      this.#written = this.#put(piece);
      this.#written.catch(() => {}); // Awaited before the next, and at the end; it must not be unhandled until then.
    }
  }

  #put({ rows, changed, toBucket }: MergedPiece): Promise<void> {
    const { store, metrics, onProgress } = this.#needs;
    for (const { key } of rows) store.learnNamespace(key);
    this.#accept();
    const commit = store.needs.storage.transaction((tx) => {
      store.needs.pinset.shadow.append(tx, rows, toBucket);
      this.#state.put(tx, [], changed);
    });
    this.#state.queued(commit);
    metrics.shadowRows.add(rows.length);
    onProgress();
    return commit.flushed;
  }
}

function sequencesOf(entries: readonly FullClockEntry[]): Map<string, number> {
  return new Map(entries.map(({ name, sequence }) => [byteString(name.rid), sequence]));
}

/** Of each replica the entry that is further. */
function ahead(a: readonly FullClockEntry[], b: readonly FullClockEntry[]): Iterable<FullClockEntry> {
  const entries = new Map<string, FullClockEntry>();
  for (const entry of [...a, ...b]) {
    const ridText = byteString(entry.name.rid);
    if (entry.sequence > (entries.get(ridText)?.sequence ?? 0)) entries.set(ridText, entry);
  }
  return entries.values();
}
