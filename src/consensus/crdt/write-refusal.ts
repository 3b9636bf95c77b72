import { PinfoldError } from '../../model/errors.ts';
import type { ConsensusStatus } from '../consensus.ts';

export interface WriteState {
  isStopping: boolean;
  isFollower: boolean;
  phase: ConsensusStatus['phase'];
  /** There is no room in the clock for the own replica. */
  isClockFull: boolean;
  isDiskLow: boolean;
}

/** C4: why a write is not taken, as far as this peer alone decides. */
export function writeRefusal(state: WriteState): PinfoldError | undefined {
  if (state.isStopping || state.phase === 'stopped') return new PinfoldError('SHUTTING_DOWN', 'this peer is stopping');
  if (state.isFollower) return new PinfoldError('FOLLOWER', 'this peer is a follower; write at another');
  if (state.phase !== 'ready') {
    return new PinfoldError('JOINING', 'this peer is taking in the pinset; write at another meanwhile', {
      retryAfterMs: 1_000,
    });
  }
  if (state.isClockFull) return new PinfoldError('LIMIT_REACHED', 'the cluster has as many replicas as there can be');
  if (!state.isDiskLow) return undefined;
  return new PinfoldError('DISK_FULL', 'too little free disk for writes at this peer; make room, or write at another');
}
