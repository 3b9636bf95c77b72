/**
 * What the last Sync with a peer came to.
 *
 *   full-needed  its log does not reach back to what this peer has, and this peer has not come past that since
 *   serving      it is sending what this peer lacks
 *   nothing-new  it has sent all that it had
 */
export type SyncNews = 'full-needed' | 'serving' | 'nothing-new';

/** 4.6: who hears only FULL_NEEDED from those that have what it lacks, among the peers that it reaches, must rebuild. */
export function hearsOnlyFullNeeded(reached: readonly SyncNews[]): boolean {
  return reached.includes('full-needed') && !reached.includes('serving');
}
