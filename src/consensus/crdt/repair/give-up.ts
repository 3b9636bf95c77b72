import { pinNamed } from '../../../pinset/rows.ts';
import { type BucketState, isSound } from '../../../pinset/scrub/scrub.ts';
import { differenceOf } from '../../../pinset/scrub/sum.ts';
import type { RepairBucket } from '../../repair.ts';
import { type MendedBucket, type MendingNeeds, mendBuckets } from './mend-buckets.ts';

interface GivenUp extends MendedBucket {
  readonly mine: BucketState;
}

/**
 * What nobody could put right, of these buckets: rows that cannot be read go, and the digest becomes that of those that can. If a peer that
 * was not asked still has them they come back when the two are repaired: this side is sound by then, so both keep all that either has.
 */
export async function giveUp(needs: MendingNeeds, buckets: readonly number[]): Promise<RepairBucket[]> {
  const { store } = needs;
  const { pinset } = store.needs;
  const watch = store.touched.watch();
  const snapshot = await pinset.snapshot();
  try {
    const damaged = buckets.map((bucket) => pinset.scrub.read(snapshot, bucket)).filter((state) => !isSound(state));
    const given = damaged.map(givenUp);
    await mendBuckets(needs, given, snapshot, watch);
    return given.map(eventOf);
  } finally {
    snapshot.close();
    watch.end();
  }
}

function givenUp(mine: BucketState): GivenUp {
  const unreadable = mine.unreadable.map(({ key }) => ({ key, after: [] }));
  const repair = { changes: [], unreadable, correction: differenceOf(mine.sum, mine.digest) };
  return { bucket: mine.bucket, mine, repair, written: undefined };
}

function eventOf({ bucket, mine, written }: GivenUp): RepairBucket {
  return {
    kind: 'bucket',
    peerId: undefined,
    bucket,
    remedy: written === undefined ? 'left-out' : 'give-up',
    ...{ onlyHere: 0, onlyThere: 0, differing: 0, unreadableThere: 0 },
    unreadableHere: mine.unreadable.length,
    writtenHere: written ?? 0,
    givenUp: written === undefined ? [] : mine.unreadable.map(({ key }) => pinNamed(key)),
  };
}
