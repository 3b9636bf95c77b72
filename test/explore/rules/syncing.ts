import { encodeSignedBatch } from '../../../src/consensus/crdt/codec/signed-batch.ts';
import { type LoggedReplica, LogReader } from '../../../src/consensus/crdt/sync/log-reader.ts';
import type { Reader } from '../../../src/storage/storage.ts';
import { knownBatch } from '../world/batches.ts';
import { clockNumber, type Slots, sequenceOf } from '../world/clocks.ts';
import { replicas } from '../world/names.ts';
import type { Store } from '../world/store.ts';

export const fullNeeded = -1;
export const nothingLeft = 0;

/** What Sync sends first to one whose clock is `clock` (S2, S3): a batch, or one of the two above. */
export function offered(source: Store, clock: Slots): number {
  return source.once(clockNumber(clock) * 8 + 5, () => firstOffered(source, clock));
}

function firstOffered(source: Store, clock: Slots): number {
  const entries = replicas.map(({ rid, number }) => ({ rid, sequence: sequenceOf(clock[number] as number) }));
  const log = new LogReader(entries.filter(({ sequence }) => sequence > 0));
  const logged = loggedReplicas(source);
  if (log.isBelowFloor(logged)) return fullNeeded;
  const next = log.next(readerOf(source), logged);
  if (next === undefined) return nothingLeft;
  const { number } = next.replica;
  return source.value.log.find((id) => isBatch(id, number, next.head.first)) as number;
}

function isBatch(id: number, replica: number, first: number): boolean {
  const known = knownBatch(id);
  return known.replica === replica && known.first === first;
}

function loggedReplicas({ value, sequences }: Store): LoggedReplica[] {
  return replicas.map(({ number, rid, ridText }) => ({
    number,
    rid,
    ridText,
    flushedSequence: sequences[number] as number,
    floor: value.floor[number] as number,
  }));
}

const encoded = new Map<number, Uint8Array>();

function encodedBatch(id: number): Uint8Array {
  const known = encoded.get(id);
  if (known !== undefined) return known;
  const bytes = encodeSignedBatch(knownBatch(id).batch);
  encoded.set(id, bytes);
  return bytes;
}

/** The log of a store as its table would be read: from a key on, the first row. */
function readerOf({ value }: Store): Reader {
  const rows = value.log.map((id) => ({ id, replica: knownBatch(id).replica, last: knownBatch(id).last }));
  rows.sort((a, b) => a.replica - b.replica || a.last - b.last);
  return {
    *range(_table: string, { from, to }: { from: Uint8Array; to: Uint8Array }) {
      for (const { id, replica, last } of rows) {
        const key = Buffer.alloc(12);
        key.writeUInt32BE(replica, 0);
        key.writeUInt32BE(last, 8);
        if (Buffer.compare(key, from) >= 0 && Buffer.compare(key, to) < 0) yield { key, value: encodedBatch(id) };
      }
    },
  } as unknown as Reader;
}
