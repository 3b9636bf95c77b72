import { isPinfoldError, PinfoldError } from '../../model/errors.ts';
import { isPeerId, parsePeerId } from '../../model/peer-id.ts';
import type { Op } from '../consensus.ts';
import type { CrdtStore } from './state/store.ts';

/** Local numbers of what own operations name. They are given before the transaction that uses them, never in one. */
export class LearnedNames {
  readonly #store: CrdtStore;
  /** Peer ID -> local number, for those that were ever allocated to. */
  readonly #peers = new Map<string, number>();

  constructor(store: CrdtStore) {
    this.#store = store;
  }

  /** What gets no number is refused in its turn; the others of the batch have nothing to do with it. */
  learn(op: Op): void {
    try {
      if ('allocations' in op) this.#learnPeers(op.allocations);
      this.#store.learnNamespace(op.key);
    } catch (problem) {
      if (!isPinfoldError(problem, 'LIMIT_REACHED')) throw problem;
    }
  }

  /** Throws INVALID_ARGUMENT, LIMIT_REACHED. */
  peer(peerId: string): number {
    const number = this.#peers.get(peerId);
    if (number !== undefined) return number;
    parsePeerId(peerId, 'allocations');
    throw new PinfoldError('LIMIT_REACHED', 'this peer has no number left for a further peer');
  }

  #learnPeers(peerIds: readonly string[]): void {
    for (let i = 0; i < peerIds.length; i++) {
      const peerId = peerIds[i] as string;
      if (this.#peers.has(peerId) || !isPeerId(peerId)) continue;
      this.#peers.set(peerId, this.#store.needs.pinset.names.peers.ensure(peerId));
    }
  }
}
