import { equalBytes } from '../../../model/bytes.ts';
import { parsePeerId } from '../../../model/peer-id.ts';
import type { Names, PinsetSnapshot } from '../../../pinset/pinset.ts';
import { isSound, type Scrub } from '../../../pinset/scrub/scrub.ts';
import { type RangeRow, RangeRowWriter } from '../codec/range-rows.ts';
import { RANGE_MESSAGE_BYTES, ROWS_READ_TOGETHER } from '../constants.ts';
import { OwnDamage } from './problems.ts';

export const DIGEST_BYTES = 16;

export interface RangeMessage {
  rids: Uint8Array[];
  peers: Uint8Array[];
  rows: Uint8Array;
  equalBuckets: number[];
}

export interface RangeWalkNeeds {
  names: Names;
  scrub: Pick<Scrub, 'states'>;
  snapshot: PinsetSnapshot;
}

/** Goes through the buckets of a range, a message at a time: iterators must not live over an await. */
export class RangeWalk {
  readonly #needs: RangeWalkNeeds;
  readonly #writer = new RangeRowWriter();
  readonly #from: number;
  /** The caller's, 16 bytes a bucket; empty: it has no rows there. */
  readonly #digests: Uint8Array;
  readonly #ownDigests: Uint8Array;
  /** Buckets below are complete when it is done. */
  to: number;
  #bucket: number;
  /** Of `#bucket`, what a message that was full has left over. */
  #left: readonly RangeRow[] | undefined;
  #equal: number[] = [];
  isDone = false;

  constructor(needs: RangeWalkNeeds, { from, to, digests }: RangeOfBuckets) {
    this.#needs = needs;
    this.#from = this.#bucket = from;
    this.to = to;
    this.#digests = digests;
    this.#ownDigests = digests.length === 0 ? digests : needs.snapshot.digest.buckets(from, to);
  }

  /**
   * The next message; with `endSoon` what is left of the bucket, and it is done. Throws OwnDamage: rows that are not what the digest says are
   * handed to nobody. The buckets before have been told of by then, or are asked for again.
   */
  next(endSoon: boolean): RangeMessage {
    if (endSoon) this.to = Math.min(this.to, this.#bucket + 1);
    while (this.#bucket < this.to) if (!this.#run()) break;
    this.isDone = this.#bucket >= this.to;
    const { rows, rids, peers } = this.#writer.take();
    const equalBuckets = this.#equal;
    this.#equal = [];
    const { replicas, peers: peerNames } = this.#needs.names;
    return {
      rows,
      equalBuckets,
      rids: rids.map((number) => replicas.name(number)),
      peers: peers.map((number) => parsePeerId(peerNames.name(number))),
    };
  }

  /** An equal bucket, or some up to the next that is; false: the message is full. */
  #run(): boolean {
    if (this.#left !== undefined) return this.#write(this.#left);
    if (this.#isEqual(this.#bucket)) {
      this.#equal.push(this.#bucket++);
      return true;
    }
    let end = this.#bucket + 1;
    while (end < this.to && !this.#isEqual(end)) end++;
    const { scrub, snapshot } = this.#needs;
    for (const state of scrub.states(snapshot, { from: this.#bucket, to: end, rowsMax: ROWS_READ_TOGETHER })) {
      if (!isSound(state)) throw new OwnDamage(state.bucket);
      if (!this.#write(state.rows)) return false;
    }
    return true;
  }

  /** The rest of a bucket, and then the next is due; false: the message is full before. */
  #write(rows: readonly RangeRow[]): boolean {
    for (const [i, { key, row }] of rows.entries()) {
      if (this.#writer.bytes >= RANGE_MESSAGE_BYTES) {
        this.#left = rows.slice(i);
        return false;
      }
      this.#writer.add(key, row);
    }
    this.#left = undefined;
    this.#bucket++;
    return true;
  }

  #isEqual(bucket: number): boolean {
    if (this.#digests.length === 0) return false;
    const at = (bucket - this.#from) * DIGEST_BYTES;
    return equalBytes(this.#ownDigests.subarray(at, at + DIGEST_BYTES), this.#digests.subarray(at, at + DIGEST_BYTES));
  }
}

export interface RangeOfBuckets {
  from: number;
  to: number;
  digests: Uint8Array;
}
