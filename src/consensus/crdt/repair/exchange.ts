import { byteString } from '../../../model/bytes.ts';
import type { PinsetSnapshot } from '../../../pinset/pinset.ts';
import type { BucketState } from '../../../pinset/scrub/scrub.ts';
import type { Timers } from '../../../runtime/clock.ts';
import { clockEntry } from '../codec/clock-entries.ts';
import { clockOf, type FullClockEntry } from '../codec/range-head.ts';
import { type BucketRepair, repairOf, type TheirBucket } from '../core/repair.ts';
import type { PeerCalls } from '../peer-calls.ts';
import type { CrdtStore } from '../state/store.ts';
import type { TouchWatch } from '../state/touched-buckets.ts';
import { askBuckets } from './bucket-client.ts';
import { isLeftOut, leftOutBetween, operationsOn } from './left-out.ts';

export interface ExchangeNeeds {
  store: CrdtStore;
  rpc: PeerCalls;
  timers: Timers;
  /** B6: no log would tell a shadow of what is put right here. */
  discardShadow(): void;
}

export interface Exchanged {
  readonly bucket: number;
  readonly mine: BucketState;
  readonly theirs: TheirBucket;
  /** Undefined: one of the two has operations there that the other has not, so they may rightly differ. */
  readonly repair: BucketRepair | undefined;
  /** Rows written here; undefined: not wanted, or the bucket changed meanwhile. */
  written: number | undefined;
}

interface ExchangeCall {
  peerId: string;
  buckets: readonly number[];
  apply: boolean;
  signal: AbortSignal;
}

/**
 * Compares buckets with those of another peer, and with `apply` puts the own rows right. Answers for the first of them, as many as the
 * other sent. A bucket is left alone when an operation comes in between what was read and what is written: the clock never moves,
 * so each row must be the truth at the clock that it had.
 */
export async function exchange(needs: ExchangeNeeds, call: ExchangeCall): Promise<Exchanged[]> {
  const { store } = needs;
  const watch = store.touched.watch();
  try {
    const snapshot = await store.needs.pinset.snapshot();
    let compared: Exchanged[];
    try {
      compared = await compare(needs, call, snapshot);
    } finally {
      snapshot.close();
    }
    if (call.apply) await write(needs, compared, snapshot, watch);
    return compared;
  } finally {
    watch.end();
  }
}

async function compare(
  { store, rpc, timers }: ExchangeNeeds,
  { peerId, buckets, signal }: ExchangeCall,
  snapshot: PinsetSnapshot,
): Promise<Exchanged[]> {
  const { pinset } = store.needs;
  const own = clockOf(snapshot.reader);
  const clock = own.map(({ name, sequence, hash }) => clockEntry(name.rid, sequence, hash));
  const theirs = await askBuckets(rpc, pinset.names, { peerId, buckets, clock, signal });
  const difference = { reader: snapshot.reader, other: theirs.clock, store, timers, signal };
  const ahead = await leftOutBetween(difference);
  const pairs = [...theirs.buckets].map(([bucket, their]) => ({ their, mine: pinset.scrub.read(snapshot, bucket) }));
  const keys = new Set(pairs.flatMap(({ mine }) => mine.unreadable.map(({ key }) => byteString(key))));
  const since = keys.size === 0 ? undefined : await operationsOn(keys, difference);
  const rules = {
    names: pinset.names,
    covered: coveredBy(store, own),
    since: (key: Uint8Array) => since?.get(byteString(key)) ?? [],
  };
  return pairs.map(({ mine, their }) => {
    const { bucket } = mine;
    const isApart = theirs.leftOut.has(bucket) || isLeftOut(ahead, bucket);
    const repair = repairOf(mine, their, { ...rules, isApart });
    const isOut = isApart && repair.remedy === 'none';
    return { bucket, mine, theirs: their, repair: isOut ? undefined : repair, written: undefined };
  });
}

function coveredBy({ replicas }: CrdtStore, clock: readonly FullClockEntry[]) {
  const byNumber = new Map<number, number>();
  for (const { name, sequence } of clock) {
    const replica = replicas.taken(byteString(name.rid));
    if (replica !== undefined) byNumber.set(replica.number, sequence);
  }
  return (replica: number) => byNumber.get(replica) ?? 0;
}

async function write(
  { store, discardShadow }: ExchangeNeeds,
  compared: readonly Exchanged[],
  { set }: PinsetSnapshot,
  watch: TouchWatch,
): Promise<void> {
  const { storage, pinset } = store.needs;
  for (const { repair } of compared) for (const { key } of writtenBy(repair)) store.learnNamespace(key);
  if (compared.some(({ repair }) => writtenBy(repair).length > 0)) discardShadow();
  const commit = storage.transaction((tx) => {
    const due = compared.filter(({ bucket, repair }) => repair !== undefined && !watch.has(bucket));
    const repairs = due.map(({ bucket, repair }) => ({ bucket, ...(repair as BucketRepair) }));
    const isNeeded = repairs.some((each) => writtenBy(each).length > 0 || each.correction !== 0n);
    if (isNeeded) {
      pinset.mend(tx, {
        set,
        changes: repairs.flatMap(({ changes }) => changes),
        unreadable: repairs.flatMap(({ unreadable }) => unreadable),
        corrections: repairs.map(({ bucket, correction }) => ({ bucket, add: correction })),
      });
    }
    for (const each of due) {
      each.written = writtenBy(each.repair).length;
      store.touched.noteBucket(each.bucket);
    }
    return isNeeded;
  });
  if (commit.value) await store.queued(commit, [], true);
}

function writtenBy(repair: Pick<BucketRepair, 'changes' | 'unreadable'> | undefined) {
  return repair === undefined ? [] : [...repair.changes, ...repair.unreadable];
}
