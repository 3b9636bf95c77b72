import { equalBytes } from '../../../model/bytes.ts';
import type { Batch, IncEntry } from './types.ts';

/** What a store knows of one replica: C[r], H[r], and whether its author is frozen (N4). */
export interface Taken {
  readonly sequence: number;
  readonly hash: Uint8Array;
  readonly frozen: string;
}

/** A clock with hashes, asked by rid as text. Undefined: nothing of that replica was taken in. */
export interface TakenClock {
  taken(ridText: string): Taken | undefined;
  covers(entry: IncEntry): boolean;
}

export type Verdict = 'apply' | 'duplicate' | 'pend' | 'fork' | 'frozen';

const nothing: Taken = { sequence: 0, hash: new Uint8Array(0), frozen: '' };

/** R2 to R5, on a valid batch. */
export function judge(clock: TakenClock, batch: Batch): Verdict {
  const { head } = batch;
  const taken = clock.taken(batch.ridText) ?? nothing;
  if (taken.frozen !== '') return 'frozen';
  if (head.last < taken.sequence) return 'duplicate'; // R2; an older branch shows in the log or at its end
  if (head.last === taken.sequence) return equalBytes(batch.hash, taken.hash) ? 'duplicate' : 'fork'; // R2
  if (head.first <= taken.sequence) return 'fork'; // R3
  if (head.first > taken.sequence + 1 || !head.inc.every((entry) => clock.covers(entry))) return 'pend'; // R4
  return equalBytes(head.prev, taken.hash) ? 'apply' : 'fork'; // R5
}
