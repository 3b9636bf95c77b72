import type { Consensus } from '../consensus/consensus.ts';
import type { Pinset } from '../pinset/pinset.ts';

export interface HistoryNeeds {
  consensus: Pick<Consensus, 'history'>;
  pinset: Pick<Pinset, 'feed'>;
}

/** What a revision of this store is one of; a store that was put back has another history under the same number. Undefined: not known any more. */
export function historyAt({ consensus, pinset }: HistoryNeeds, revision: number): Uint8Array | undefined {
  const mark = pinset.feed.mark(revision);
  return mark && Buffer.concat([consensus.history, mark]);
}
