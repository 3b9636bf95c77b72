import { CID } from 'multiformats/cid';
import { BLOCK_BYTES_MAX } from '../../constants.ts';
import { hashers, IDENTITY_CODE } from '../../dag/hashers.ts';
import type { IpfsMetrics } from '../../metrics.ts';
import type { BlockStore } from '../../node/block-store.ts';
import { OUTGOING_ENTRIES_MAX, SENT_BLOCK_BYTES_MAX, SENT_ENTRIES_MAX, WANT_CID_BYTES_MAX } from './constants.ts';
import { Ledger, type LedgerEntry } from './ledger.ts';
import { type BitswapMessage, emptyMessage, isEmpty, type WantEntry } from './message.ts';

export interface BitswapPeerNeeds {
  link: { send(message: BitswapMessage): Promise<void>; close(): void };
  blocks: Pick<BlockStore, 'get' | 'has'>;
  metrics: Pick<IpfsMetrics, 'refused' | 'blocksSent' | 'sentBytes'>;
  /** A message could not be sent: what was asked of this peer was not asked. */
  onFailure: (cause: unknown) => void;
}

/** One connected peer: what it wants, what we still have to tell it, and how it has served us. */
export class BitswapPeer {
  readonly #needs: BitswapPeerNeeds;
  readonly #ledger = new Ledger();
  /** By multihash: the latest word on a CID is the one that counts. */
  readonly #outgoing = new Map<string, WantEntry>();
  /** What the peer knows of our wants is not known: the next message replaces all of it. */
  #isLost = false;
  #pump: Promise<void> | undefined;
  #isClosed = false;
  /** Blocks asked for and not answered. */
  outstanding = 0;
  /** Grows with blocks sent to us and halves with each that it did not have. */
  usefulness = 0;
  /** Blocks asked for that it did not send in time, since it last sent one. */
  unanswered = 0;
  lastHeardMs = 0;
  /** Of messages that are not complete yet, on all of its streams. */
  unfinishedBytes = 0;

  constructor(needs: BitswapPeerNeeds) {
    this.#needs = needs;
  }

  /** Tells the peer, soon, that we want (or no longer want) something. */
  tell(key: string, entry: WantEntry): void {
    // A message that replaces all cancels whatever it does not have.
    if (this.#isLost && entry.kind === 'cancel') {
      this.#outgoing.delete(key);
      return;
    }
    if (this.#outgoing.size >= OUTGOING_ENTRIES_MAX && !this.#outgoing.has(key)) {
      this.#fail(new RangeError(`more than ${OUTGOING_ENTRIES_MAX} wants and cancels wait to be sent`));
      return;
    }
    this.#outgoing.set(key, entry);
    this.#run();
  }

  /** What waits for this peer, entries. */
  get waiting(): { outgoing: number; due: number; entries: number } {
    return { outgoing: this.#outgoing.size, ...this.#ledger.size };
  }

  /** Takes in what the peer wants. */
  receive(message: BitswapMessage): void {
    if (message.isFull) this.#ledger.clear();
    const { refused } = this.#needs.metrics;
    for (const { cid: bytes, kind, sendDontHave } of message.wants) {
      const cid = wantable(bytes);
      if (cid === undefined) refused.add(1, { reason: 'cid' });
      else if (kind === 'cancel') this.#ledger.remove(cid);
      else if (!this.#ledger.add({ cid, kind, sendDontHave })) refused.add(1, { reason: 'full' });
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
    if (!this.#isClosed) this.#pump ??= this.#work();
  }

  #fail(cause: unknown): void {
    this.#outgoing.clear();
    this.#isLost = true;
    this.#needs.onFailure(cause);
  }

  async #work(): Promise<void> {
    try {
      // Whoever gave us this work may have more in the same breath: one message for all of it.
      do await this.#sendNext();
      while (!this.#isClosed && this.#hasWork());
    } catch (cause) {
      this.#fail(cause);
    } finally {
      // With no turn between the last look for work and this: what comes then begins anew.
      this.#pump = undefined;
    }
  }

  #hasWork(): boolean {
    return this.#outgoing.size > 0 || this.#ledger.size.due > 0;
  }

  /** Also when there is nothing to say on what it has looked at. */
  async #sendNext(): Promise<void> {
    await Promise.resolve();
    const message = await this.#nextMessage();
    if (isEmpty(message)) return;
    await this.#needs.link.send(message);
    const { blocksSent, sentBytes } = this.#needs.metrics;
    blocksSent.add(message.blocks.length);
    for (const { data } of message.blocks) sentBytes.add(data.length);
  }

  async #nextMessage(): Promise<BitswapMessage> {
    const message = emptyMessage();
    let bytes = 0;
    let answers = 0;
    for (let entry = this.#ledger.next(); entry !== undefined; entry = this.#ledger.next()) {
      const answered = await this.#answer(entry, message, bytes);
      if (answered === 'no room') break;
      bytes += answered;
      if (bytes >= SENT_BLOCK_BYTES_MAX || ++answers >= SENT_ENTRIES_MAX) break;
    }
    for (const [key, entry] of this.#outgoing) {
      this.#outgoing.delete(key);
      if (message.wants.push(entry) >= SENT_ENTRIES_MAX) break;
    }
    if (this.#isLost && message.wants.length > 0) {
      message.isFull = true;
      this.#isLost = false;
    }
    return message;
  }

  /** Bytes of the block that it put into the message, which has so many already. Without room the entry stays due. */
  async #answer(entry: LedgerEntry, message: BitswapMessage, bytes: number): Promise<number | 'no room'> {
    const { cid, kind, sendDontHave } = entry;
    const { blocks } = this.#needs;
    const { multihash } = cid;
    if (kind === 'block') {
      const data = await blocks.get(multihash.bytes);
      if (data !== undefined) {
        if (bytes > 0 && bytes + data.length > BLOCK_BYTES_MAX) {
          this.#ledger.again(entry);
          return 'no room';
        }
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

/** Undefined for what can be no block of ours: over-long, or of a hash that is not checked here. Throws for what is no CID. */
function wantable(bytes: Uint8Array): CID | undefined {
  if (bytes.length > WANT_CID_BYTES_MAX) return undefined;
  const cid = CID.decode(bytes);
  const { code, digest } = cid.multihash;
  return code !== IDENTITY_CODE && hashers.has(code) && digest.length <= DIGEST_BYTES_MAX ? cid : undefined;
}

/** Of the hash functions that blocks are checked with. */
const DIGEST_BYTES_MAX = 64;

/** The CID without the digest: version, codec, hash function, digest length. */
function prefixOf(cid: CID): Uint8Array {
  const { multihash } = cid;
  const withoutDigest = multihash.bytes.subarray(0, multihash.bytes.length - multihash.digest.length);
  if (cid.version === 0) return Uint8Array.of(0, cid.code, ...withoutDigest);
  return cid.bytes.subarray(0, cid.bytes.length - multihash.digest.length);
}
