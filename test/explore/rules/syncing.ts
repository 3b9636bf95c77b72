import { encodeSignedBatch } from '../../../src/consensus/crdt/codec/signed-batch.ts';
import { judge } from '../../../src/consensus/crdt/core/judge.ts';
import { keptBatch } from '../../../src/consensus/crdt/log/kept-batch.ts';
import { type LoggedReplica, LogReader } from '../../../src/consensus/crdt/sync/log-reader.ts';
import type { Reader } from '../../../src/storage/storage.ts';
import { knownBatch } from '../world/batches.ts';
import { clockNumber, covers, SlotClock, type Slots, sequenceOf, slotAfter } from '../world/clocks.ts';
import { replicas } from '../world/names.ts';
import type { Store } from '../world/store.ts';

export const fullNeeded = -1;
export const nothingLeft = 0;

/** What Sync sends first to one whose clock is `clock` (S2, S3): a batch, or one of the two above. */
export function offered(source: Store, clock: Slots): number {
  return stream(source, clock).first;
}

export interface Stream {
  readonly first: number;
  /** Something in it cannot be taken by whoever takes all before it, or something is left out (S3). */
  readonly problem: string | undefined;
}

/** All that Sync sends to one whose clock is `clock`. */
export function stream(source: Store, clock: Slots): Stream {
  return source.once(clockNumber(clock) * 8 + 5, () => streamAnew(source, clock));
}

function streamAnew(source: Store, clock: Slots): Stream {
  const entries = replicas.map(({ rid, number }) => ({ rid, sequence: sequenceOf(clock[number] as number) }));
  const reader = readerOf(source);
  const log = new LogReader(
    entries.filter(({ sequence }) => sequence > 0),
    (replica, sequence) => keptBatch(reader, replica, sequence),
  );
  const logged = loggedReplicas(source);
  if (log.isBelowFloor(logged)) return { first: fullNeeded, problem: undefined };
  const batches: number[] = [];
  for (let next = log.next(logged); next !== undefined; next = log.next(logged)) {
    const { batch, replica } = next;
    batches.push(source.value.log.find((id) => isBatch(id, replica.number, batch.head.first)) as number);
  }
  return { first: batches[0] ?? nothingLeft, problem: streamProblem(source, clock, batches) };
}

function streamProblem(source: Store, before: Slots, batches: readonly number[]): string | undefined {
  let clock = before;
  for (const id of batches) {
    const { batch, replica } = knownBatch(id);
    if (judge(new SlotClock(clock), batch) !== 'apply') return 'S3: Sync sent a batch before what it depends on';
    clock = clock.with(replica, slotAfter(id));
  }
  return covers(clock, source.value.clock) ? undefined : 'S3: Sync ended and left out what the source has';
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
