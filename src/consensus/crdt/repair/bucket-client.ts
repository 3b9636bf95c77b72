import { create } from '@bufbuild/protobuf';
import type { ClockEntry } from '../../../../gen/pinfold/peer/v1/batch_pb.ts';
import {
  type BucketsHead,
  type DigestsHead,
  GetBucketsRequestSchema,
  GetDigestsRequestSchema,
} from '../../../../gen/pinfold/peer/v1/repair_pb.ts';
import { formatPeerId } from '../../../model/peer-id.ts';
import { bucketCount, bucketOf } from '../../../model/pin-key.ts';
import { DIGEST_BYTES } from '../../../pinset/codec/feed-row.ts';
import { Malformed } from '../../../pinset/codec/reader.ts';
import type { Names } from '../../../pinset/pinset.ts';
import { rowHash } from '../../../pinset/row-hash.ts';
import { addSums, sumOf } from '../../../pinset/scrub/sum.ts';
import { clockMap, readClock } from '../codec/clock-entries.ts';
import { type RangeRow, readRangeRows } from '../codec/range-rows.ts';
import type { TheirBucket } from '../core/repair.ts';
import type { PeerCalls } from '../peer-calls.ts';
import type { LeftOut } from './left-out.ts';

const digestsBytes = bucketCount * DIGEST_BYTES;

export interface TheirDigests {
  readonly clock: ReadonlyMap<string, number>;
  readonly leftOut: LeftOut;
  /** Buckets that they know to be damaged on their side. */
  readonly damaged: readonly number[];
  /** 16 bytes a bucket. */
  readonly digests: Uint8Array;
}

/** Throws Malformed for an answer that is none. */
export async function askDigests(
  rpc: PeerCalls,
  peerId: string,
  clock: ClockEntry[],
  signal: AbortSignal,
): Promise<TheirDigests> {
  const request = create(GetDigestsRequestSchema, { clock });
  const digests = new Uint8Array(digestsBytes);
  let head: DigestsHead | undefined;
  let at = 0;
  for await (const { message } of rpc.call(peerId, 'getDigests', [request], { signal })) {
    if (message.case === 'head') head = message.value;
    if (message.case !== 'digests') continue;
    if (at + message.value.length > digestsBytes) throw new Malformed('more digests than buckets');
    digests.set(message.value, at);
    at += message.value.length;
  }
  if (head === undefined || at < digestsBytes) throw new Malformed('fewer digests than buckets');
  const leftOut = head.allLeftOut ? 'all' : new Set(head.leftOut);
  return { clock: clockMap(readClock(head.clock)), leftOut, damaged: head.damaged, digests };
}

export interface TheirBuckets {
  readonly clock: ReadonlyMap<string, number>;
  readonly leftOut: ReadonlySet<number>;
  /** Those that were answered. */
  readonly buckets: ReadonlyMap<number, TheirBucket>;
}

/** Rows of buckets, in local numbers. Throws Malformed, and LIMIT_REACHED for more replicas or peers than there can be. */
export async function askBuckets(
  rpc: PeerCalls,
  names: Names,
  {
    peerId,
    buckets,
    clock,
    signal,
  }: { peerId: string; buckets: readonly number[]; clock: ClockEntry[]; signal: AbortSignal },
): Promise<TheirBuckets> {
  const request = create(GetBucketsRequestSchema, { buckets: [...buckets], clock });
  const rows: RangeRow[] = [];
  const replicas: number[] = [];
  const peers: number[] = [];
  let head: BucketsHead | undefined;
  let answered = 0;
  for await (const { message } of rpc.call(peerId, 'getBuckets', [request], { signal })) {
    if (message.case === 'head') head = message.value;
    else if (message.case === 'end') answered = message.value.answered;
    else if (message.case === 'rows') {
      for (const rid of message.value.rids) replicas.push(names.replicas.ensure(rid));
      for (const peer of message.value.peers) peers.push(names.peers.ensure(formatPeerId(peer)));
      rows.push(...readRangeRows(message.value.rows, replicas, peers));
    }
  }
  if (head === undefined || answered < 1 || answered > buckets.length || head.digests.length < answered * DIGEST_BYTES)
    throw new Malformed('an answer that is not whole');
  return {
    clock: clockMap(readClock(head.clock)),
    leftOut: new Set(head.leftOut),
    buckets: bucketsOf(names, buckets.slice(0, answered), head, rows),
  };
}

function bucketsOf(names: Names, asked: readonly number[], head: BucketsHead, rows: readonly RangeRow[]) {
  const byBucket = new Map<number, RangeRow[]>(asked.map((bucket) => [bucket, []]));
  for (const row of rows) {
    const of = byBucket.get(bucketOf(row.key));
    if (of === undefined) throw new Malformed('a row of a bucket that was not asked for');
    of.push(row);
  }
  const buckets = new Map<number, TheirBucket>();
  asked.forEach((bucket, i) => {
    const own = byBucket.get(bucket) as RangeRow[];
    const sum = own.map(({ key, row }) => sumOf(rowHash(names, key, row))).reduce(addSums, 0n);
    const digest = sumOf(head.digests.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES));
    buckets.set(bucket, { rows: own, sum, digest, unreadable: head.unreadable[i] ?? 0 });
  });
  return buckets;
}
