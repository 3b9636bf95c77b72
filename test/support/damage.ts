import { decodePinValue } from '../../src/pinset/codec/pin-value.ts';
import type { PinRow, RowChange } from '../../src/pinset/pinset.ts';
import { tableSets } from '../../src/pinset/tables.ts';
import type { TestPeer } from './crdt-peers.ts';
import { stateOf } from './crdt-truth.ts';

/**
 *   flip      a bit of the row's bytes
 *   lose      the row
 *   garble    the row's bytes are noise
 *   forget    the row, its index entries and its share of the digest: as a defect would have it
 *   rename    another value for its dot, likewise
 */
export const damageKinds = ['flip', 'lose', 'garble', 'forget', 'rename'] as const;

export interface Damage {
  kind: (typeof damageKinds)[number];
  /** Picks row and bit. */
  at: number;
}

/** What a disk, or a defect, does to one row of a running peer. Answers its key in hex. */
export async function damage({ storage, pinset }: TestPeer, { kind, at }: Damage): Promise<string | undefined> {
  const table = tableSets.a.pins;
  const rows = [...storage.read.range(table)];
  const victim = rows[at % Math.max(1, rows.length)];
  if (victim === undefined) return undefined;
  const { key, value } = victim;
  await storage.transaction((tx) => {
    if (kind === 'lose') return tx.remove(table, key);
    if (kind === 'garble') return tx.put(table, key, Buffer.of(0xff, 1, 2));
    if (kind === 'flip') return tx.put(table, key, flipped(value, at));
    // A defect writes over what it can read: bytes that are damaged already stay as they are.
    if (!isReadable(() => pinset.row(tx, key).map(({ value }) => decodePinValue(value)))) return;
    const change = changed(kind, key, pinset.row(tx, key));
    pinset.mend(tx, { set: tableSets.a, changes: [change], unreadable: [], corrections: [] });
  }).flushed;
  return Buffer.from(key).toString('hex');
}

function isReadable(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}

function flipped(value: Uint8Array, at: number): Uint8Array {
  const bytes = Uint8Array.from(value);
  const index = (at * 31) % bytes.length;
  bytes[index] = (bytes[index] as number) ^ (1 << (at % 8));
  return bytes;
}

function changed(kind: 'forget' | 'rename', key: Uint8Array, before: PinRow): RowChange {
  if (kind === 'forget') return { key, before, after: [] };
  // The field of the name, once more: the last one counts.
  const name = Buffer.of(0x0a, 1, 0x7a);
  return { key, before, after: before.map((dot) => ({ ...dot, value: Buffer.concat([dot.value, name]) })) };
}

/** Every live dot of every peer, by what names it. */
export function dotsOf(peers: Iterable<TestPeer>): Set<string> {
  const dots = new Set<string>();
  for (const { storage, pinset } of peers) {
    for (const [key, row] of stateOf(storage.read, pinset).rows) {
      for (const { rid, sequence } of row) dots.add(`${key} ${rid} ${sequence}`);
    }
  }
  return dots;
}
