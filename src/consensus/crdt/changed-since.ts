import { byteString } from '../../model/bytes.ts';
import type { PinKey } from '../../model/pin.ts';
import { mark } from '../../runtime/mark.ts';
import { decodeOperations } from './codec/operations.ts';
import { CHANGED_KEYS_MAX } from './constants.ts';
import { decodePosition, type Head } from './core/position.ts';
import type { IncEntry } from './core/types.ts';
import { unlessLogDamaged } from './log/kept-batch.ts';
import type { Replica } from './state/replicas.ts';
import type { CrdtStore } from './state/store.ts';

/** 6.4: every key with an operation in the log that the position does not cover. Throws INVALID_TOKEN. */
export function changedSince(store: CrdtStore, position: Uint8Array): PinKey[] | 'gone' | 'ahead' {
  const entries = decodePosition(position);
  if (entries.some((entry) => isForked(store, entry))) return 'gone';
  if (!entries.every((entry) => store.replicas.flushedCovers(entry))) {
    mark('watch: the peer has not seen what the token names');
    return 'ahead';
  }
  if (!entries.every((entry) => isOfThisHistory(store, entry))) {
    mark('watch: the token is of another history');
    return 'gone';
  }
  const covered = new Map(entries.map(({ rid, sequence }) => [byteString(rid), sequence]));
  const keys = new Map<string, PinKey>();
  for (const replica of store.replicas.sorted()) {
    const after = covered.get(replica.ridText) ?? 0;
    if (after < replica.floor) {
      mark('watch: the log does not reach back to the token');
      return 'gone';
    }
    if (!collect(store, replica, after, keys)) return 'gone';
  }
  mark('watch: resumed at another peer');
  return [...keys.values()];
}

/** It may speak of operations that their author gave up (N4): the same numbers may mean others now. */
function isForked({ replicas }: CrdtStore, { rid, sequence }: IncEntry): boolean {
  const firsts = replicas.taken(byteString(rid))?.settled.keys() ?? [];
  return [...firsts].some((first) => sequence >= first);
}

/** Whether the history here goes through where the position ends. Also false where the log does not reach back so far. */
function isOfThisHistory(store: CrdtStore, { rid, sequence, hash }: Head): boolean {
  const replica = store.replicas.taken(byteString(rid));
  if (hash.length === 0 || replica === undefined) return true;
  return store.endsWith(replica, sequence, hash) === true;
}

/** False: more keys than it is worth, or the log is damaged. */
function collect(store: CrdtStore, replica: Replica, after: number, keys: Map<string, PinKey>): boolean {
  for (let sequence = after + 1; sequence <= replica.sequence; ) {
    const next = sequence;
    const batch = unlessLogDamaged(() => store.logged(replica, next));
    if (batch === undefined) return next > replica.flushedSequence; // It is not committed yet.
    for (const { key } of decodeOperations(batch.ops).operations) keys.set(byteString(key), key);
    if (keys.size > CHANGED_KEYS_MAX) return false;
    sequence = batch.head.last + 1;
  }
  return true;
}
