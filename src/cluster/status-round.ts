import { byteString, compareBytes } from '../model/bytes.ts';
import { answerWithinMs, type CallContext } from '../model/call-context.ts';
import { isPinfoldError, type PinfoldError } from '../model/errors.ts';
import { everywhere, isAllocatedTo, type Pin } from '../model/pin.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { Pinset, StoredPin } from '../pinset/pinset.ts';
import { readable } from '../pinset/stored-pin.ts';
import { type Clock, sleep } from '../runtime/clock.ts';
import { claimStatus, type Named, unknownStatus } from './claim-status.ts';
import { STATUS_PIECE_PINS_MAX, STATUS_PIECE_WORDS_MAX } from './constants.ts';
import { askStatuses, type PeerError, type PeerStatusesNeeds, peerError } from './peer-statuses.ts';
import { PeerWords } from './peer-words.ts';
import type { PinSelection } from './pin-filter.ts';
import type { PinStatus } from './status.ts';
import type { MergedWish } from './wish-merge.ts';

export interface StatusRoundNeeds extends PeerStatusesNeeds {
  pinset: Pick<Pinset, 'claims'>;
  monitor: Pick<Monitor, 'members' | 'member'>;
  clock: Clock;
}

/** What is asked of the members in one call: who is asked, and who did not answer. */
export class StatusRound {
  readonly members: readonly Named[];
  readonly #memberIds: ReadonlySet<string>;
  readonly #needs: StatusRoundNeeds;
  readonly #call: CallContext;
  readonly #only: ReadonlySet<string> | undefined;
  readonly #lost = new Map<string, PeerError>();
  #errors: PeerError[] = [];
  #hasToldDamage = false;

  constructor(needs: StatusRoundNeeds, peerIds: readonly string[], call: CallContext) {
    this.#needs = needs;
    this.#call = call;
    this.#only = peerIds.length === 0 ? undefined : new Set(peerIds);
    this.members = needs.monitor.members().filter(({ peerId }) => this.#isAsked(peerId));
    this.#memberIds = new Set(this.peerIds());
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

  /** Rows of this peer's pinset that cannot be read: their pins are missing. The first is told, once a call. */
  damaged(problems: readonly PinfoldError[]): void {
    const [first] = problems;
    if (first === undefined || this.#hasToldDamage) return;
    this.#hasToldDamage = true;
    this.#errors.push(peerError(this.#needs, this.#needs.peerId, first));
  }

  /** Those that were not taken yet. */
  takeErrors(): PeerError[] {
    const errors = this.#errors;
    this.#errors = [];
    return errors;
  }

  /** A peer that does not answer is left out of the pins allocated to it, or stands there with an error. */
  async ofPins(
    pins: readonly StoredPin[],
    ifLost: 'leave out' | 'error',
    words = new PeerWords(),
  ): Promise<PinStatus[]> {
    const shown = pins.map(({ pin }) => ({ pin, peers: this.#peersOf(pin), wish: words.wish(pin.cid) }));
    for (const { pin, peers, wish } of shown) {
      for (const { peerId } of peers) if (isAllocatedTo(pin, peerId)) words.want(peerId, wish);
    }
    await this.#ask(words);
    return shown.map(({ pin, peers, wish }) => ({
      ...headOf(pin),
      peers: peers.flatMap((peer) => {
        const lost = isAllocatedTo(pin, peer.peerId) ? this.#lost.get(peer.peerId) : undefined;
        if (lost !== undefined) return ifLost === 'error' ? [unknownStatus(lost)] : [];
        return [claimStatus(pin, peer, words.word(peer.peerId, wish))];
      }),
    }));
  }

  /** What is left on nodes of CIDs (version 1) that nobody claims; nothing for those of which nothing is left. */
  async ofUnclaimed(cids: readonly Uint8Array[], words = new PeerWords()): Promise<PinStatus[]> {
    for (const { peerId } of this.members) for (const cid of cids) words.want(peerId, words.wish(cid));
    await this.#ask(words);
    return cids.flatMap((cid) => {
      const wish = words.wish(cid);
      const peers = this.members.flatMap((peer) => {
        const word = words.word(peer.peerId, wish);
        const isLeft = word !== undefined && word.status !== 'unpinned' && word.status !== 'remote';
        return isLeft ? [claimStatus(undefined, peer, word)] : [];
      });
      return peers.length === 0 ? [] : [{ ...unclaimed(cid), peers }];
    });
  }

  /** Claims on these wishes, in order; if asked for, also the wishes that nobody claims. Nobody is asked for a word that came with them. */
  async ofWishes(
    wishes: readonly MergedWish[],
    selection: PinSelection,
    showUnclaimed: boolean,
  ): Promise<{ wish: Uint8Array; key: Uint8Array | undefined; status: PinStatus }[]> {
    const cids = wishes.map(({ cid }) => cid);
    const claims = cids.map((cid) => this.#claims(cid));
    const bare = showUnclaimed ? cids.filter((cid, i) => claims[i]?.length === 0 && selection.matchesKey(cid, '')) : [];
    const matching = claims.map((some) => some?.filter(({ pin }) => selection.matches(pin)) ?? []);
    const [ofPins, ofBare] = await Promise.all([
      this.ofPins(matching.flat(), 'leave out', wordsOf(wishes)),
      bare.length === 0 ? [] : this.ofUnclaimed(bare, wordsOf(wishes)),
    ]);
    const bareByName = new Map(ofBare.map((status) => [byteString(status.cid), status]));
    let next = 0;
    return cids.flatMap((wish, i): { wish: Uint8Array; key: Uint8Array | undefined; status: PinStatus }[] => {
      const left = bareByName.get(byteString(wish));
      if (left !== undefined) return [{ wish, key: undefined, status: left }];
      return (matching[i] ?? []).map(({ key }) => ({ wish, key, status: ofPins[next++] as PinStatus }));
    });
  }

  /** In order of keys. Undefined: the row of one is damaged. */
  #claims(cid: Uint8Array): StoredPin[] | undefined {
    try {
      const claims = this.#needs.pinset.claims(cid).map(readable);
      return claims.sort((a, b) => compareBytes(a.key, b.key));
    } catch (problem) {
      if (!isPinfoldError(problem, 'DATA_CORRUPT')) throw problem;
      this.damaged([problem]);
      return undefined;
    }
  }

  async #ask(words: PeerWords): Promise<void> {
    const { signal } = this.#call;
    await words.ask(async (peerId, cids) => {
      if (this.#lost.has(peerId)) return undefined;
      // The questions to the others leave first: they are at it meanwhile.
      if (peerId === this.#needs.peerId && cids.length > 1) await sleep(this.#needs.timers, 0, signal);
      try {
        return await askStatuses(this.#needs, peerId, cids, signal, this.leftMs());
      } catch (error) {
        signal.throwIfAborted();
        this.lose(peerId, error);
        return undefined;
      }
    });
  }

  /** Members in their order, then allocations that are no members (any more). */
  #peersOf({ replicationMin, allocations }: Pin): readonly Named[] {
    if (replicationMin === everywhere) return this.members;
    const gone = allocations.filter((peerId) => !this.#memberIds.has(peerId) && this.#isAsked(peerId));
    return gone.length === 0 ? this.members : [...this.members, ...gone.map((peerId) => ({ peerId, name: '' }))];
  }

  #isAsked(peerId: string): boolean {
    return this.#only === undefined || this.#only.has(peerId);
  }
}

function wordsOf(wishes: readonly MergedWish[]): PeerWords {
  const words = new PeerWords();
  for (const { cid, words: said } of wishes) {
    const wish = words.wish(cid);
    for (const [peerId, word] of said) words.know(peerId, wish, word);
  }
  return words;
}

export function headOf({ namespace, cid, name, allocations, createdMs }: Pin): Omit<PinStatus, 'peers'> {
  return { namespace, cid, name, allocations, createdMs };
}

export function unclaimed(cid: Uint8Array): Omit<PinStatus, 'peers'> {
  return { namespace: '', cid, name: '', allocations: [], createdMs: 0 };
}
