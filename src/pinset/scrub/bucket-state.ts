import type { PinKey } from '../../model/pin.ts';
import { bucketOf, checkPinKey, pinKeyParts } from '../../model/pin-key.ts';
import type { Entry, Reader } from '../../storage/storage.ts';
import { isOfNothing } from '../bucket-sum.ts';
import { DIGEST_BYTES } from '../codec/feed-row.ts';
import { decodePinValue } from '../codec/pin-value.ts';
import type { StoredNames } from '../names.ts';
import type { Digest, PinRow } from '../pinset.ts';
import { rowHash } from '../row-hash.ts';
import { rowFromDisk } from '../rows.ts';
import type { BucketState } from './scrub.ts';
import { addSums, sumOf } from './sum.ts';

const empty = { rows: [], unreadable: [], sum: 0n, digest: 0n };

/** Buckets [from, ...) one after the other until `rowsMax` rows were read or `to` is reached: whole buckets, one at least. */
export function* bucketStates(
  source: { reader: Reader; table: string; names: StoredNames; digest: Digest },
  { from, to, rowsMax }: { from: number; to: number; rowsMax: number },
): Generator<BucketState> {
  // At once: one after the other they would be the most of what a scrub of a small pinset costs.
  const digests = source.digest.buckets(from, to);
  const entries = source.reader.range(source.table, { from: Buffer.of(from >> 8, from & 255) })[Symbol.iterator]();
  try {
    let next = entries.next();
    for (let bucket = from, rows = 0; bucket < to && rows < rowsMax; bucket++) {
      const raw: Entry[] = [];
      for (; !next.done && bucketOf(next.value.key) === bucket; next = entries.next()) raw.push(next.value);
      rows += raw.length;
      const at = (bucket - from) * DIGEST_BYTES;
      if (raw.length === 0 && isOfNothing(digests, at)) yield { bucket, ...empty };
      else yield stateOf(source.names, bucket, raw, digests.subarray(at));
    }
  } finally {
    entries.return?.();
  }
}

function stateOf(names: StoredNames, bucket: number, raw: readonly Entry[], digest: Uint8Array): BucketState {
  const rows: { key: PinKey; row: PinRow }[] = [];
  const unreadable: { key: PinKey; problem: string }[] = [];
  let sum = 0n;
  for (const { key, value } of raw) {
    try {
      const row = readWhole(names, key, value);
      rows.push({ key, row });
      sum = addSums(sum, sumOf(rowHash(names, key, row)));
    } catch (problem) {
      unreadable.push({ key, problem: problem instanceof Error ? problem.message : String(problem) });
    }
  }
  return { bucket, rows, unreadable, sum, digest: sumOf(digest) };
}

/** Looks at all that a row holds, where others look at what they need. */
function readWhole(names: StoredNames, key: PinKey, value: Uint8Array): PinRow {
  checkPinKey(key);
  const { namespace } = pinKeyParts(key);
  if (names.namespaces.find(namespace) === undefined) throw new Error(`a namespace that was never met: ${namespace}`);
  const row = rowFromDisk(names, key, value);
  for (const dot of row) decodePinValue(dot.value);
  return row;
}
