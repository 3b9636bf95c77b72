import { byteString } from '../model/bytes.ts';
import { toV1 } from '../model/cid.ts';
import type { WishStatus } from '../model/status.ts';

interface Asked {
  /** Numbers of wishes; each once. */
  wishes: Set<number>;
  /** By number of the wish. */
  words: (WishStatus | undefined)[];
}

/**
 * What several peers are to be asked about several wishes, and what they said: one question a peer, each wish in it once.
 * Wishes have numbers here, so that a CID is looked up once and not for each peer.
 */
export class PeerWords {
  readonly #numbers = new Map<string, number>();
  readonly #cids: Uint8Array[] = [];
  readonly #peers = new Map<string, Asked>();

  /** The number of the wish for that CID, of either version. */
  wish(cid: Uint8Array): number {
    const v1 = toV1(cid);
    const name = byteString(v1);
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#cids.push(v1) - 1;
      this.#numbers.set(name, number);
    }
    return number;
  }

  /** The peer has said this: it is not asked for it. */
  know(peerId: string, wish: number, word: WishStatus): void {
    this.#of(peerId).words[wish] = word;
  }

  want(peerId: string, wish: number): void {
    const { wishes, words } = this.#of(peerId);
    if (words[wish] === undefined) wishes.add(wish);
  }

  word(peerId: string, wish: number): WishStatus | undefined {
    return this.#peers.get(peerId)?.words[wish];
  }

  /** Asks all at once for what is wanted; `answer` gives a row a CID, in order, or nothing. */
  async ask(answer: (peerId: string, cids: Uint8Array[]) => Promise<readonly WishStatus[] | undefined>): Promise<void> {
    const one = async (peerId: string, { wishes, words }: Asked) => {
      const numbers = [...wishes];
      wishes.clear();
      if (numbers.length === 0) return;
      const rows = await answer(
        peerId,
        numbers.map((number) => this.#cids[number] as Uint8Array),
      );
      if (rows !== undefined) for (const [i, number] of numbers.entries()) words[number] = rows[i];
    };
    await Promise.all([...this.#peers].map(([peerId, asked]) => one(peerId, asked)));
  }

  #of(peerId: string): Asked {
    let asked = this.#peers.get(peerId);
    if (asked === undefined) {
      asked = { wishes: new Set(), words: [] };
      this.#peers.set(peerId, asked);
    }
    return asked;
  }
}
