import { CID } from 'multiformats/cid';
import type { BlockStore } from '../../node/block-store.ts';
import { LEDGER_ENTRIES_MAX, SENT_BLOCK_BYTES_MAX, SENT_ENTRIES_MAX } from './constants.ts';
import { Ledger } from './ledger.ts';
import { type BitswapMessage, emptyMessage, isEmpty, type WantEntry } from './message.ts';

export interface BitswapPeerNeeds {
  link: { send(message: BitswapMessage): Promise<void>; close(): void };
  blocks: Pick<BlockStore, 'get' | 'has'>;
  /** A message could not be sent: what was asked of this peer was not asked. */
  onFailure: (cause: unknown) => void;
}

/** One connected peer: what it wants, what we still have to tell it, and how it has served us. */
export class BitswapPeer {
  readonly #needs: BitswapPeerNeeds;
  readonly #ledger = new Ledger();
  /** By multihash: the latest word on a CID is the one that counts. */
  #outgoing = new Map<string, WantEntry>();
  #pump: Promise<void> | undefined;
  #isClosed = false;
  /** Blocks asked for and not answered. */
  outstanding = 0;
  /** Grows with blocks sent to us and halves with each that it did not have. */
  usefulness = 0;
  lastHeardMs = 0;

  constructor(needs: BitswapPeerNeeds) {
    this.#needs = needs;
  }

  /** Tells the peer, soon, that we want (or no longer want) something. */
  tell(key: string, entry: WantEntry): void {
    this.#outgoing.set(key, entry);
    this.#run();
  }

  /** Takes in what the peer wants. */
  receive(message: BitswapMessage): void {
    if (message.isFull) this.#ledger.clear();
    for (const { cid: bytes, kind, sendDontHave } of message.wants.slice(0, LEDGER_ENTRIES_MAX)) {
      const cid = CID.decode(bytes);
      if (kind === 'cancel') this.#ledger.remove(cid);
      else this.#ledger.add({ cid, kind, sendDontHave });
    }
    if (message.wants.length > 0) this.#run();
  }

  came(cid: CID): void {
    if (this.#ledger.came(cid)) this.#run();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#needs.link.close();
    await this.#pump;
  }

  #run(): void {
    if (this.#isClosed) return;
    this.#pump ??= this.#work()
      .catch((cause) => this.#needs.onFailure(cause))
      .finally(() => {
        this.#pump = undefined;
      });
  }

  async #work(): Promise<void> {
    // Whoever gave us this work may have more in the same breath: one message for all of it.
    await Promise.resolve();
    while (!this.#isClosed) {
      const message = await this.#nextMessage();
      if (isEmpty(message)) return;
      await this.#needs.link.send(message);
    }
  }

  async #nextMessage(): Promise<BitswapMessage> {
    const message = emptyMessage();
    let bytes = 0;
    let answers = 0;
    for (let entry = this.#ledger.next(); entry !== undefined; entry = this.#ledger.next()) {
      bytes += await this.#answer(entry, message);
      if (bytes >= SENT_BLOCK_BYTES_MAX || ++answers >= SENT_ENTRIES_MAX) break;
    }
    for (const [key, entry] of this.#outgoing) {
      this.#outgoing.delete(key);
      if (message.wants.push(entry) >= SENT_ENTRIES_MAX) break;
    }
    return message;
  }

  async #answer(
    { cid, kind, sendDontHave }: { cid: CID; kind: 'block' | 'have'; sendDontHave: boolean },
    message: BitswapMessage,
  ): Promise<number> {
    const { blocks } = this.#needs;
    const { multihash } = cid;
    if (kind === 'block') {
      const data = await blocks.get(multihash.bytes);
      if (data !== undefined) {
        this.#ledger.remove(cid);
        message.blocks.push({ prefix: prefixOf(cid), data });
        return data.length;
      }
    } else if (await blocks.has(multihash.bytes)) {
      this.#ledger.remove(cid);
      message.presences.push({ cid: cid.bytes, has: true });
      return 0;
    }
    if (sendDontHave) message.presences.push({ cid: cid.bytes, has: false });
    return 0;
  }
}

/** The CID without the digest: version, codec, hash function, digest length. */
function prefixOf(cid: CID): Uint8Array {
  const { multihash } = cid;
  const withoutDigest = multihash.bytes.subarray(0, multihash.bytes.length - multihash.digest.length);
  if (cid.version === 0) return Uint8Array.of(0, cid.code, ...withoutDigest);
  return cid.bytes.subarray(0, cid.bytes.length - multihash.digest.length);
}
