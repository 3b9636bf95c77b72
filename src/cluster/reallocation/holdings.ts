import { byteString } from '../../model/bytes.ts';
import { toV1 } from '../../model/cid.ts';
import type { Pin } from '../../model/pin.ts';
import { claimStatus } from '../claim-status.ts';
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
      const peer = { peerId, name: '' };
      for (const word of words) {
        // As it is said, whether the pin is allocated there (yet) or not.
        const { status } = claimStatus(undefined, peer, word);
        known.set(nameOf(word.cid, peerId), status === 'pinned' ? 'holds' : 'lacks');
      }
    } catch {
      signal.throwIfAborted();
    }
  };
  await Promise.all([...asked].map(([peerId, cids]) => ask(peerId, cids)));
  return (cid, peerId) => known.get(nameOf(toV1(cid), peerId)) ?? 'unknown';
}

function nameOf(cid: Uint8Array, peerId: string): string {
  return byteString(cid) + peerId;
}
