import type { Consensus } from '../consensus/consensus.ts';
import type { PinKey } from '../model/pin.ts';
import type { Pinset } from '../pinset/pinset.ts';
import { sleep, type Timers } from '../runtime/clock.ts';
import { TOKEN_ASKED_MAX, TOKEN_INTERVAL_MS } from './constants.ts';
import { historyAt } from './history-at.ts';
import { encodeResumeToken, type StatusPlace, type WatchPlace } from './resume-token.ts';

export interface TokenMintNeeds {
  peerId: string;
  pinset: Pick<Pinset, 'feed'>;
  consensus: Pick<Consensus, 'history' | 'flushedPosition'>;
  timers: Timers;
}

/** Pins that were told, and of which it is being asked what nodes hold. */
export interface Asked {
  readonly keys: readonly PinKey[];
  /** The revision before they were told; undefined: there was none here. */
  readonly before: number | undefined;
}

/** What a message covers when it has been told. */
export interface Covers {
  pins?: number;
  status?: { peerId: string; place: StatusPlace | undefined };
}

type HeldPlace = Omit<WatchPlace, 'storeIncarnation' | 'position' | 'peers'> & {
  readonly peers: Map<string, StatusPlace>;
};

/**
 * Resume tokens for what one watch has told. What was read may be newer than the disk. So a token is held back: one interval
 * later whatever was read then has its revision, and when that is flushed the token may go (F1).
 */
export class TokenMint {
  readonly #needs: TokenMintNeeds;
  readonly #peers = new Map<string, StatusPlace>();
  #pins: number | undefined;
  readonly #asked = new Set<Asked>();
  #changed = false;
  #mark: { place: HeldPlace; bound: number | undefined } | undefined;
  #last: Uint8Array | undefined;

  constructor(needs: TokenMintNeeds, last: Uint8Array | undefined) {
    this.#needs = needs;
    this.#last = last;
  }

  /** The last one given out, or the one that the watch began with. */
  get last(): Uint8Array | undefined {
    return this.#last;
  }

  told({ pins, status }: Covers): void {
    if (pins !== undefined) this.#pins = pins;
    if (status?.place !== undefined) this.#peers.set(status.peerId, status.place);
    else if (status !== undefined) this.#forget(status.peerId);
    if (pins !== undefined || status !== undefined) this.#changed = true;
  }

  /**
   * The statuses of these pins are asked for: a token that goes before the answer names them, so that whoever resumes by it has them
   * asked for again. Call what it returns once.
   */
  asking(asked: Asked): () => void {
    if (asked.keys.length === 0) return () => {};
    this.#asked.add(asked);
    return () => {
      this.#asked.delete(asked);
      this.#changed = true;
    };
  }

  /** Also in a token that is held back: who gets it after this has forgotten what that peer said, and must be told all of it. */
  #forget(peerId: string): void {
    this.#peers.delete(peerId);
    this.#mark?.place.peers.delete(peerId);
  }

  /** Until the signal aborts. `give` says whether there was room for it. */
  async run(give: (token: Uint8Array) => boolean, signal: AbortSignal): Promise<void> {
    const { feed } = this.#needs.pinset;
    for (;;) {
      await sleep(this.#needs.timers, TOKEN_INTERVAL_MS, signal);
      if (this.#mark === undefined) this.#mark = this.#newMark();
      else this.#mark.bound ??= feed.revision;
      if (this.#mark?.bound === undefined || feed.flushedRevision < this.#mark.bound) continue;
      const { place } = this.#mark;
      const token = encodeResumeToken({
        ...place,
        storeIncarnation: historyAt(this.#needs, place.revision) ?? new Uint8Array(0),
        position: this.#needs.consensus.flushedPosition(place.revision),
      });
      this.#mark = undefined;
      if (give(token)) this.#last = token;
    }
  }

  #newMark() {
    const told = this.#told();
    if (!this.#changed || told === undefined) return undefined;
    this.#changed = false;
    const { peerId } = this.#needs;
    const place = { peerId, ...told, peers: new Map(this.#peers) };
    return { place, bound: undefined as number | undefined };
  }

  /** How far a token may go, and what is being asked for then. Undefined: there can be none now. */
  #told(): { revision: number; asked: readonly PinKey[] } | undefined {
    const asked = [...this.#asked].flatMap(({ keys }) => keys);
    if (this.#pins === undefined) return undefined;
    if (asked.length <= TOKEN_ASKED_MAX) return { revision: this.#pins, asked };
    let revision = this.#pins;
    for (const { before } of this.#asked) {
      if (before === undefined) return undefined;
      revision = Math.min(revision, before);
    }
    return { revision, asked: [] };
  }
}
