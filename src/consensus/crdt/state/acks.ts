import { byteString } from '../../../model/bytes.ts';
import { formatPeerId, isPeerIdBytes, parsePeerId } from '../../../model/peer-id.ts';
import { Malformed, Reader as WireReader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { Storage } from '../../../storage/storage.ts';
import { RID_BYTES } from '../codec/header.ts';
import { ACK_HOLDER_AGE_MS, ACK_PEERS_MAX, CLOCK_ENTRIES_MAX } from '../constants.ts';
import type { IncEntry } from '../core/types.ts';
import { acksTable } from '../tables.ts';

export interface AcksNeeds {
  storage: Storage;
  clock: Clock;
  logger: Logger;
}

/** A peer that said lately what it has on its disk. */
export interface Holder {
  readonly peerId: string;
  /** When it last said so, wall clock. */
  readonly heardMs: number;
}

interface Heard {
  heardMs: number;
  /** By rid as text. */
  readonly clock: Map<string, number>;
  /** While it rebuilds: C' as its last Hello had it. */
  shadow: ReadonlyMap<string, number> | undefined;
  /** Of its process. Undefined: not heard since this peer started. */
  boot: string | undefined;
  isSaved: boolean;
}

/**
 * What each trusted peer last said its flushed clock is (6.1, L1). A peer's clock only grows while its process lives (I11), so late words
 * take nothing back; with a new process it is learned anew, for its disk may have been put back. On the disk it is a hint, lost without harm.
 * At most `ACK_PEERS_MAX` peers of `CLOCK_ENTRIES_MAX` entries; the one heard longest ago makes room.
 */
export class Acks {
  readonly #needs: AcksNeeds;
  readonly #heard = new Map<string, Heard>();
  readonly #listeners = new Set<(peerId: string) => void>();

  constructor(needs: AcksNeeds) {
    this.#needs = needs;
  }

  /** The peer has this on its disk. Entries that are not named stay as they were. */
  heard(peerId: string, entries: Iterable<IncEntry>): void {
    const heard = this.#of(peerId);
    heard.heardMs = this.#needs.clock.nowMs();
    heard.isSaved = false;
    for (const { rid, sequence } of entries) {
      const ridText = byteString(rid);
      const known = heard.clock.get(ridText);
      if (known === undefined ? heard.clock.size < CLOCK_ENTRIES_MAX : sequence > known) {
        heard.clock.set(ridText, sequence);
      }
    }
    for (const listener of this.#listeners) listener(peerId);
  }

  /** Its Hello: which process it is, and the clock of its shadow (none: it does not rebuild). */
  met(peerId: string, bootNonce: Uint8Array, shadow: readonly IncEntry[]): void {
    const heard = this.#of(peerId);
    const boot = byteString(bootNonce);
    if (heard.boot !== boot) heard.clock.clear();
    heard.boot = boot;
    heard.shadow =
      shadow.length === 0 ? undefined : new Map(shadow.map(({ rid, sequence }) => [byteString(rid), sequence]));
    // The log must reach back to what a shadow has, and it may take hours: so it counts as heard (L1), though nothing of it is acknowledged.
    if (heard.shadow !== undefined) heard.heardMs = this.#needs.clock.nowMs();
  }

  /** Up to which operation of that replica the peer said it has all on its disk; 0: it said nothing of it. */
  acknowledged(peerId: string, ridText: string): number {
    return this.#heard.get(peerId)?.clock.get(ridText) ?? 0;
  }

  /** Whether the peer said that it has all of these on its disk. */
  covers(peerId: string, entries: readonly IncEntry[]): boolean {
    const clock = this.#heard.get(peerId)?.clock;
    return clock !== undefined && entries.every(({ rid, sequence }) => (clock.get(byteString(rid)) ?? 0) >= sequence);
  }

  /** From where on it may ask for the log of that replica: less than what it acknowledged while its shadow is behind (L1). */
  needsAfter(peerId: string, ridText: string): number {
    const shadow = this.#heard.get(peerId)?.shadow;
    const acknowledged = this.acknowledged(peerId, ridText);
    return shadow === undefined ? acknowledged : Math.min(acknowledged, shadow.get(ridText) ?? 0);
  }

  /** Peers heard in the last 24 h (L1), the latest first. Whether they are trusted, now, is for the caller to ask. */
  holders(nowMs = this.#needs.clock.nowMs()): Holder[] {
    return [...this.#heard]
      .map(([peerId, { heardMs }]) => ({ peerId, heardMs }))
      .filter(({ heardMs }) => nowMs - heardMs <= ACK_HOLDER_AGE_MS)
      .sort((a, b) => b.heardMs - a.heardMs);
  }

  /** It is no member any more: it holds nothing, and the log need not wait for it. */
  forget(peerId: string): void {
    if (!this.#heard.delete(peerId)) return;
    this.#needs.storage.transaction((tx) => tx.remove(acksTable, parsePeerId(peerId)));
  }

  /** Called after each word of a peer. */
  onHeard(listener: (peerId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  load(): void {
    for (const { key, value } of this.#needs.storage.read.range(acksTable, { limit: ACK_PEERS_MAX })) {
      const row = isPeerIdBytes(key) ? decode(value) : undefined;
      // A damaged hint is no hint.
      if (row !== undefined) this.#heard.set(formatPeerId(key), row);
    }
  }

  /** Writes what has changed; called now and then. */
  save(): void {
    const changed = [...this.#heard].filter(([, { isSaved }]) => !isSaved);
    if (changed.length === 0) return;
    this.#needs.storage.transaction((tx) => {
      for (const [peerId, heard] of changed) tx.put(acksTable, parsePeerId(peerId), encode(heard));
    });
    for (const [, heard] of changed) heard.isSaved = true;
  }

  #of(peerId: string): Heard {
    const known = this.#heard.get(peerId);
    if (known !== undefined) return known;
    if (this.#heard.size >= ACK_PEERS_MAX) this.#forgetOldest();
    const heard = { heardMs: 0, clock: new Map<string, number>(), shadow: undefined, boot: undefined, isSaved: true };
    this.#heard.set(peerId, heard);
    return heard;
  }

  #forgetOldest(): void {
    let oldest: Holder | undefined;
    for (const [peerId, { heardMs }] of this.#heard) {
      if (oldest === undefined || heardMs < oldest.heardMs) oldest = { peerId, heardMs };
    }
    if (oldest === undefined) return;
    const { peerId } = oldest;
    this.forget(peerId);
    this.#needs.logger.warn('what a peer acknowledged is forgotten, for others', { peerId, peersMax: ACK_PEERS_MAX });
  }
}

const writer = new Writer(1024);

/** When it was heard, then rid and sequence of each entry. */
function encode({ heardMs, clock }: Heard): Uint8Array {
  writer.at = 0;
  writer.ensure(10);
  writer.varint(Math.max(0, Math.floor(heardMs)));
  for (const [ridText, sequence] of clock) {
    writer.ensure(RID_BYTES + 10);
    writer.bytes.set(Buffer.from(ridText, 'latin1'), writer.at);
    writer.at += RID_BYTES;
    writer.varint(sequence);
  }
  return writer.take();
}

function decode(bytes: Uint8Array): Heard | undefined {
  try {
    const reader = new WireReader(bytes);
    const heardMs = reader.varint();
    const clock = new Map<string, number>();
    while (reader.more) {
      if (reader.end - reader.at < RID_BYTES) return undefined;
      const rid = byteString(reader.bytes.subarray(reader.at, reader.at + RID_BYTES));
      reader.at += RID_BYTES;
      clock.set(rid, reader.varint());
    }
    return { heardMs, clock, shadow: undefined, boot: undefined, isSaved: true };
  } catch (cause) {
    if (cause instanceof Malformed) return undefined;
    throw cause;
  }
}
