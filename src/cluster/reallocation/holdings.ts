import type { Pin } from '../../model/pin.ts';
import type { WishStatus } from '../../model/status.ts';
import { askStatuses, type PeerStatusesNeeds } from '../peer-statuses.ts';
import { PeerWords } from '../peer-words.ts';
import type { Holding } from './next-placement.ts';

/** Asks the peers of these pins, and those where they should lie, what they hold. One question a peer for all of them. */
export async function holdings(
  needs: PeerStatusesNeeds,
  plans: readonly { stored: { pin: Pin }; desired: readonly string[] }[],
  signal: AbortSignal,
): Promise<(cid: Uint8Array, peerId: string) => Holding> {
  const words = new PeerWords();
  for (const { stored, desired } of plans) {
    const wish = words.wish(stored.pin.cid);
    for (const peerId of [...stored.pin.allocations, ...desired]) words.want(peerId, wish);
  }
  await words.ask(async (peerId, cids) => {
    // Whoever is not up is not waited for: it is not known what it holds.
    if (needs.monitor.member(peerId)?.health !== 'up') return undefined;
    try {
      return await askStatuses(needs, peerId, cids, signal);
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  });
  return (cid, peerId) => {
    const word = words.word(peerId, words.wish(cid));
    return word === undefined ? 'unknown' : holdingOf(word);
  };
}

/** Only who has just failed is sure to have no copy: one that waits, or has yet to hear of the pin, may have it when this is read. */
function holdingOf({ status }: WishStatus): Holding {
  if (status === 'pinned') return 'holds';
  return status === 'pin_error' ? 'lacks' : 'unknown';
}
