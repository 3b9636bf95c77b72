import { byteString, compareBytes } from '../model/bytes.ts';
import { answerWithinMs, type CallContext } from '../model/call-context.ts';
import { toV1 } from '../model/cid.ts';
import { isAllocatedTo, type Pin } from '../model/pin.ts';
import type { WishStatus } from '../model/status.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { Pinset, StoredPin } from '../pinset/pinset.ts';
import type { Clock } from '../runtime/clock.ts';
import { claimStatus, type Named, peersOfPin, unknownStatus, wishName } from './claim-status.ts';
import { STATUS_PIECE_PINS_MAX, STATUS_PIECE_WORDS_MAX } from './constants.ts';
import { askStatuses, type PeerError, type PeerStatusesNeeds, peerError } from './peer-statuses.ts';
import type { PinSelection } from './pin-filter.ts';
import type { PinStatus } from './status.ts';

export interface StatusRoundNeeds extends PeerStatusesNeeds {
  pinset: Pick<Pinset, 'claims'>;
  monitor: Pick<Monitor, 'members' | 'member'>;
  clock: Clock;
}

/** What is asked of the members in one call: who is asked, and who did not answer. */
export class StatusRound {
  readonly members: readonly Named[];
  readonly #needs: StatusRoundNeeds;
  readonly #call: CallContext;
  readonly #only: ReadonlySet<string> | undefined;
  readonly #lost = new Map<string, PeerError>();
  #errors: PeerError[] = [];

  constructor(needs: StatusRoundNeeds, peerIds: readonly string[], call: CallContext) {
    this.#needs = needs;
    this.#call = call;
    this.#only = peerIds.length === 0 ? undefined : new Set(peerIds);
    this.members = needs.monitor.members().filter(({ peerId }) => this.#isAsked(peerId));
  }

  get pinsPerPiece(): number {
    const fitting = Math.floor(STATUS_PIECE_WORDS_MAX / Math.max(1, this.members.length));
    return Math.max(1, Math.min(STATUS_PIECE_PINS_MAX, fitting));
  }

  /** What is left to ask peers in, ms: who does not answer in it is told of in the answer. */
  leftMs(): number {
    return answerWithinMs(this.#call, this.#needs.clock.nowMs());
  }

  peerIds(): string[] {
    return this.members.map(({ peerId }) => peerId);
  }

  lose(peerId: string, error: unknown): void {
    if (this.#lost.has(peerId)) return;
    const lost = peerError(this.#needs, peerId, error);
    this.#lost.set(peerId, lost);
    this.#errors.push(lost);
  }

  /** Those that were not taken yet. */
  takeErrors(): PeerError[] {
    const errors = this.#errors;
    this.#errors = [];
    return errors;
  }

  /** A peer that does not answer is left out of the pins allocated to it, or stands there with an error. */
  async ofPins(pins: readonly StoredPin[], ifLost: 'leave out' | 'error'): Promise<PinStatus[]> {
    const shown = pins.map(({ pin }) => ({ pin, peers: this.#peersOf(pin) }));
    const asked = new Map<string, Map<string, Uint8Array>>();
    for (const { pin, peers } of shown) {
      for (const { peerId } of peers) if (isAllocatedTo(pin, peerId)) ask(asked, peerId, pin.cid);
    }
    const words = await this.#ask(asked);
    return shown.map(({ pin, peers }) => ({
      ...headOf(pin),
      peers: peers.flatMap((peer) => {
        const lost = isAllocatedTo(pin, peer.peerId) ? this.#lost.get(peer.peerId) : undefined;
        if (lost !== undefined) return ifLost === 'error' ? [unknownStatus(lost)] : [];
        return [claimStatus(pin, peer, words.get(peer.peerId)?.get(wishName(pin.cid)))];
      }),
    }));
  }

  /** What is left on nodes of CIDs (version 1) that nobody claims; nothing for those of which nothing is left. */
  async ofUnclaimed(cids: readonly Uint8Array[]): Promise<PinStatus[]> {
    const asked = new Map<string, Map<string, Uint8Array>>();
    for (const { peerId } of this.members) for (const cid of cids) ask(asked, peerId, cid);
    const words = await this.#ask(asked);
    return cids.flatMap((cid) => {
      const peers = this.members.flatMap((peer) => {
        const wish = words.get(peer.peerId)?.get(wishName(cid));
        const isLeft = wish !== undefined && wish.status !== 'unpinned' && wish.status !== 'remote';
        return isLeft ? [claimStatus(undefined, peer, wish)] : [];
      });
      return peers.length === 0 ? [] : [{ ...unclaimed(cid), peers }];
    });
  }

  /** Claims on these wishes, in order; if asked for, also the wishes that nobody claims. */
  async ofWishes(
    cids: readonly Uint8Array[],
    selection: PinSelection,
    showUnclaimed: boolean,
  ): Promise<{ wish: Uint8Array; key: Uint8Array | undefined; status: PinStatus }[]> {
    const claims = cids.map((cid) => this.#needs.pinset.claims(cid).sort((a, b) => compareBytes(a.key, b.key)));
    const bare = showUnclaimed ? cids.filter((cid, i) => claims[i]?.length === 0 && selection.matchesKey(cid, '')) : [];
    const matching = claims.map((some) => some.filter(({ pin }) => selection.matches(pin)));
    const [ofPins, ofBare] = await Promise.all([this.ofPins(matching.flat(), 'leave out'), this.ofUnclaimed(bare)]);
    const bareByName = new Map(ofBare.map((status) => [byteString(status.cid), status]));
    let next = 0;
    return cids.flatMap((wish, i): { wish: Uint8Array; key: Uint8Array | undefined; status: PinStatus }[] => {
      const left = bareByName.get(byteString(wish));
      if (left !== undefined) return [{ wish, key: undefined, status: left }];
      return (matching[i] ?? []).map(({ key }) => ({ wish, key, status: ofPins[next++] as PinStatus }));
    });
  }

  async #ask(asked: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>) {
    const words = new Map<string, Map<string, WishStatus>>();
    const { signal } = this.#call;
    const one = async (peerId: string, cids: readonly Uint8Array[]) => {
      try {
        const wishes = await askStatuses(this.#needs, peerId, cids, signal, this.leftMs());
        words.set(peerId, new Map(wishes.map((wish) => [byteString(wish.cid), wish])));
      } catch (error) {
        signal.throwIfAborted();
        this.lose(peerId, error);
      }
    };
    const open = [...asked].filter(([peerId]) => !this.#lost.has(peerId));
    await Promise.all(open.map(([peerId, cids]) => one(peerId, [...cids.values()])));
    return words;
  }

  #peersOf(pin: Pin): Named[] {
    return peersOfPin(pin, this.members).filter(({ peerId }) => this.#isAsked(peerId));
  }

  #isAsked(peerId: string): boolean {
    return this.#only === undefined || this.#only.has(peerId);
  }
}

function ask(asked: Map<string, Map<string, Uint8Array>>, peerId: string, cid: Uint8Array): void {
  let cids = asked.get(peerId);
  if (cids === undefined) {
    cids = new Map();
    asked.set(peerId, cids);
  }
  const v1 = toV1(cid);
  cids.set(byteString(v1), v1);
}

export function headOf({ namespace, cid, name, allocations, createdMs }: Pin): Omit<PinStatus, 'peers'> {
  return { namespace, cid, name, allocations, createdMs };
}

export function unclaimed(cid: Uint8Array): Omit<PinStatus, 'peers'> {
  return { namespace: '', cid, name: '', allocations: [], createdMs: 0 };
}
