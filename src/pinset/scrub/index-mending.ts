import type { PinKey } from '../../model/pin.ts';
import { sleep, type Timers } from '../../runtime/clock.ts';
import type { Reader, Storage } from '../../storage/storage.ts';
import { after } from '../index-keys.ts';
import type { StoredNames } from '../names.ts';
import type { PinsetSnapshot } from '../pinset.ts';
import { rowFromDisk } from '../rows.ts';
import type { TableSet } from '../tables.ts';
import { IndexCheck } from './index-check.ts';
import { type EntriesRead, indexStart, type Orphan, readEntries } from './index-walk.ts';
import type { BucketState } from './scrub.ts';

export interface IndexMendingNeeds {
  storage: Storage;
  names: StoredNames;
  timers: Timers;
  snapshot(): Promise<PinsetSnapshot>;
  read(snapshot: PinsetSnapshot, bucket: number): BucketState;
  isLive(set: TableSet): boolean;
}

interface WhatToMend {
  /** Where rows lack entries. */
  buckets: readonly number[];
  /** Walk through all entries, and remove those of no pin. */
  orphans: boolean;
  signal: AbortSignal;
}

const nothing = new Uint8Array(0);

export async function mendIndexes(
  needs: IndexMendingNeeds,
  { buckets, orphans, signal }: WhatToMend,
): Promise<{ added: number; removed: number }> {
  let added = 0;
  let removed = 0;
  for (const bucket of buckets) {
    signal.throwIfAborted();
    added += await addMissing(needs, bucket);
  }
  for (let at: EntriesRead['place'] = orphans ? indexStart : undefined; at !== undefined; ) {
    const read = await removeOrphans(needs, at);
    at = read.place;
    removed += read.orphans.length;
    await sleep(needs.timers, 0, signal);
  }
  return { added, removed };
}

async function addMissing(needs: IndexMendingNeeds, bucket: number): Promise<number> {
  const snapshot = await needs.snapshot();
  try {
    const indexes = new IndexCheck({ ...snapshot, names: needs.names });
    const lacking = needs.read(snapshot, bucket).rows.filter(({ key, row }) => indexes.missing(key, row).length > 0);
    await putEntries(
      needs,
      snapshot,
      lacking.map(({ key }) => key),
    );
    return lacking.length;
  } finally {
    snapshot.close();
  }
}

/**
 * Rows may have been written since the snapshot that showed the orphans: so the rows with their key hashes get their entries
 * again, once all that was queued before can be read.
 */
async function removeOrphans(needs: IndexMendingNeeds, at: typeof indexStart): Promise<EntriesRead> {
  const { storage, names } = needs;
  const snapshot = await needs.snapshot();
  try {
    const read = readEntries(snapshot, names, at);
    if (read.orphans.length === 0) return read;
    await storage.transaction((tx) => {
      if (needs.isLive(snapshot.set)) for (const { table, entry } of read.orphans) tx.remove(table, entry);
    }).committed;
    await putEntries(needs, snapshot, keysOf(storage.read, snapshot.set, read.orphans));
    return read;
  } finally {
    snapshot.close();
  }
}

/** Of these rows as they are in the transaction. */
async function putEntries(
  needs: IndexMendingNeeds,
  { set, metadata }: PinsetSnapshot,
  keys: readonly PinKey[],
): Promise<void> {
  const { storage, names } = needs;
  const indexes = new IndexCheck({ reader: storage.read, set, metadata, names });
  await storage.transaction((tx) => {
    if (!needs.isLive(set)) return;
    for (const key of keys) {
      const row = rowFromDisk(names, key, tx.get(set.pins, key));
      for (const [table, entry] of indexes.entries(key, row)) tx.put(table, entry, nothing);
    }
  }).committed;
}

function keysOf(reader: Reader, { pins }: TableSet, orphans: readonly Orphan[]): PinKey[] {
  const keys: PinKey[] = [];
  for (const { keyHash } of orphans) {
    for (const { key } of reader.range(pins, { from: keyHash, to: after(keyHash) })) keys.push(key);
  }
  return keys;
}
