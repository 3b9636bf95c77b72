import { decodeReplicaRow } from '../../../src/consensus/crdt/state/replica-row.ts';
import { forksTable, replicasTable } from '../../../src/consensus/crdt/tables.ts';
import type { Reader } from '../../../src/storage/storage.ts';
import { hexOf } from './hex.ts';

/** What a store says of a fork (N4). */
export interface ForkRow {
  /** Local number. */
  readonly replica: number;
  /** Sequence with which the histories part; 0: not known. */
  readonly first: number;
  readonly state: 'found' | 'lost' | 'rewriting' | 'settled';
}

export function forksIn(reader: Reader): ForkRow[] {
  return Array.from(reader.range(forksTable), ({ key, value }): ForkRow => {
    const bytes = Buffer.from(key);
    const { state } = JSON.parse(Buffer.from(value).toString()) as Pick<ForkRow, 'state'>;
    return { replica: bytes.readUInt32BE(0), first: Number(bytes.readBigUInt64BE(4)), state };
  });
}

/** Rows stand under names that the clock does not cover. */
export function isRewriting(forks: readonly ForkRow[]): boolean {
  return forks.some(({ state }) => state === 'rewriting');
}

/** The store knows that there are two operations of that name. */
export function isParted(reader: Reader, rid: string, sequence: number): boolean {
  const forks = forksIn(reader).filter(({ first }) => first <= sequence);
  const numbers = Array.from(reader.range(replicasTable)).flatMap(({ key, value }) =>
    hexOf(decodeReplicaRow(value).rid) === rid ? [Buffer.from(key).readUInt32BE(0)] : [],
  );
  return forks.some(({ replica }) => numbers.includes(replica));
}
