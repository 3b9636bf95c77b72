import { byteString } from '../../model/bytes.ts';
import { toV1 } from '../../model/cid.ts';
import type { Pin } from '../../model/pin.ts';
import type { WishStatus } from '../../model/status.ts';
import { askStatuses, type PeerStatusesNeeds } from '../peer-statuses.ts';
import type { Holding } from './next-placement.ts';

/** Asks the peers of these pins, and those where they should lie, what they hold. One question a peer for all of them. */
export async function holdings(
  needs: PeerStatusesNeeds,
  plans: readonly { stored: { pin: Pin }; desired: readonly string[] }[],
  signal: AbortSignal,
): Promise<(cid: Uint8Array, peerId: string) => Holding> {
  const asked = new Map<string, Uint8Array[]>();
  for (const { stored, desired } of plans) {
    const cid = toV1(stored.pin.cid);
    for (const peerId of new Set([...stored.pin.allocations, ...desired])) {
      const cids = asked.get(peerId);
      if (cids === undefined) asked.set(peerId, [cid]);
      else cids.push(cid);
    }
  }
  const known = new Map<string, Holding>();
  const ask = async (peerId: string, cids: readonly Uint8Array[]) => {
    // Whoever is not up is not waited for: it is not known what it holds.
    if (needs.monitor.member(peerId)?.health !== 'up') return;
    try {
      const words = await askStatuses(needs, peerId, cids, signal);
      for (const word of words) {
        known.set(nameOf(word.cid, peerId), holdingOf(word));
      }
    } catch {
      signal.throwIfAborted();
    }
  };
  await Promise.all([...asked].map(([peerId, cids]) => ask(peerId, cids)));
  return (cid, peerId) => known.get(nameOf(toV1(cid), peerId)) ?? 'unknown';
}

/** Only who has just failed is sure to have no copy: one that waits, or has yet to hear of the pin, may have it when this is read. */
function holdingOf({ status }: WishStatus): Holding {
  if (status === 'pinned') return 'holds';
  return status === 'pin_error' ? 'lacks' : 'unknown';
}

function nameOf(cid: Uint8Array, peerId: string): string {
  return byteString(cid) + peerId;
}
