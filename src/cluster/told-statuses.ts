import type { TrackerStatus } from '../model/status.ts';
import { wishName } from './claim-status.ts';
import { TOLD_STATUSES_MAX } from './constants.ts';

interface OfPeer {
  wishes: Set<string>;
  /** There were too many: one that is not among them may have been told, too. */
  isPartial: boolean;
}

/** What a watch of some statuses has told of each peer, so that it can tell, too, when that is so no more. */
export class ToldStatuses {
  readonly statuses: readonly TrackerStatus[];
  readonly #peers = new Map<string, OfPeer>();
  #size = 0;

  constructor(statuses: readonly TrackerStatus[]) {
    this.statuses = statuses;
  }

  /** Whether the reader is to be told of it: it is what is watched for, or no more. */
  take(peerId: string, { cid, status }: { cid: Uint8Array; status: TrackerStatus }): boolean {
    const told = this.#of(peerId);
    const name = wishName(cid);
    if (!this.statuses.includes(status)) {
      if (!told.wishes.delete(name)) return told.isPartial;
      this.#size--;
      return true;
    }
    if (told.wishes.has(name)) return true;
    if (this.#size >= TOLD_STATUSES_MAX) told.isPartial = true;
    else {
      told.wishes.add(name);
      this.#size++;
    }
    return true;
  }

  /** Whether the reader may know a status of this CID. */
  knows(cid: Uint8Array): boolean {
    const name = wishName(cid);
    return [...this.#peers.values()].some(({ wishes, isPartial }) => isPartial || wishes.has(name));
  }

  forget(peerId: string): void {
    this.#size -= this.#peers.get(peerId)?.wishes.size ?? 0;
    this.#peers.delete(peerId);
  }

  #of(peerId: string): OfPeer {
    let told = this.#peers.get(peerId);
    if (told === undefined) {
      told = { wishes: new Set(), isPartial: false };
      this.#peers.set(peerId, told);
    }
    return told;
  }
}
