import { byteString } from '../../../model/bytes.ts';
import type { PinsetSnapshot } from '../../../pinset/pinset.ts';
import type { BucketState } from '../../../pinset/scrub/scrub.ts';
import type { Timers } from '../../../runtime/clock.ts';
import { clockEntry } from '../codec/clock-entries.ts';
import { clockOf, type FullClockEntry } from '../codec/range-head.ts';
import { type BucketRepair, repairOf, type TheirBucket } from '../core/repair.ts';
import type { PeerCalls } from '../peer-calls.ts';
import type { CrdtStore } from '../state/store.ts';
import { askBuckets } from './bucket-client.ts';
import { isLeftOut, leftOutBetween, operationsOn } from './left-out.ts';
import { type MendedBucket, type MendingNeeds, mendBuckets } from './mend-buckets.ts';

export interface ExchangeNeeds extends MendingNeeds {
  rpc: PeerCalls;
  timers: Timers;
}

export interface Exchanged extends MendedBucket {
  readonly mine: BucketState;
  readonly theirs: TheirBucket;
  /** Undefined: one of the two has operations there that the other has not, so they may rightly differ. */
  readonly repair: BucketRepair | undefined;
}

interface ExchangeCall {
  peerId: string;
  buckets: readonly number[];
  apply: boolean;
  signal: AbortSignal;
}

/**
 * Compares buckets with those of another peer, and with `apply` puts the own rows right. Answers for the first of them, as many as the
 * other sent.
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
    if (call.apply) await mendBuckets(needs, compared, snapshot, watch);
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
    since: (key: Uint8Array) => since?.byKey.get(byteString(key)) ?? [],
    isSinceWhole: since?.isWhole ?? true,
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
