import { equalBytes } from '../../../model/bytes.ts';
import type { Batch, IncEntry } from './types.ts';

/** What a store knows of one replica: C[r], H[r], and what its author did wrong (N4). */
export interface Taken {
  readonly sequence: number;
  readonly hash: Uint8Array;
  /** Its author errs: nothing more is taken of it. */
  readonly frozen: string;
  /** Its author wrote two histories, and that is known: what goes on from the branch taken is taken, the rest is not. */
  readonly isForked?: boolean;
  /** Where branches parted: first sequence -> hash of the batch that goes on; no other is taken there. */
  readonly settled?: ReadonlyMap<number, Uint8Array>;
}

/** A clock with hashes, asked by rid as text. Undefined: nothing of that replica was taken in. */
export interface TakenClock {
  taken(ridText: string): Taken | undefined;
  covers(entry: IncEntry): boolean;
}

export type Verdict = 'apply' | 'duplicate' | 'pend' | 'fork' | 'frozen';

const nothing: Taken = { sequence: 0, hash: new Uint8Array(0), frozen: '' };

/** R2 to R5, on a valid batch. `frozen`: not taken, and nothing new is known by it (N4). */
export function judge(clock: TakenClock, batch: Batch): Verdict {
  const taken = clock.taken(batch.ridText) ?? nothing;
  if (taken.frozen !== '' || isGivenUp(taken, batch)) return 'frozen';
  const verdict = placed(clock, taken, batch);
  return verdict === 'fork' && taken.isForked ? 'frozen' : verdict;
}

function isGivenUp({ settled }: Taken, { head, hash }: Batch): boolean {
  const winner = settled?.get(head.first);
  return winner !== undefined && !equalBytes(winner, hash);
}

function placed(clock: TakenClock, taken: Taken, batch: Batch): Verdict {
  const { head } = batch;
  if (head.last < taken.sequence) return 'duplicate'; // R2; an older branch shows in the log or at its end
  if (head.last === taken.sequence) return equalBytes(batch.hash, taken.hash) ? 'duplicate' : 'fork'; // R2
  if (head.first <= taken.sequence) return 'fork'; // R3
  if (head.first > taken.sequence + 1 || !head.inc.every((entry) => clock.covers(entry))) return 'pend'; // R4
  return equalBytes(head.prev, taken.hash) ? 'apply' : 'fork'; // R5
}
