import { byteString } from '../../../model/bytes.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { Malformed, Reader as WireReader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';
import type { Reader, Transaction } from '../../../storage/storage.ts';
import type { FullClockEntry } from '../codec/range-head.ts';
import type { Taken, TakenClock } from '../core/judge.ts';
import type { ShadowClocks } from '../core/rebuild.ts';
import type { IncEntry } from '../core/types.ts';
import type { ClockStep, Replica, Replicas } from '../state/replicas.ts';
import { shadowTable } from '../tables.ts';

const key = Buffer.from('shadow');
const FORMAT = 1;

interface ShadowEntry {
  readonly replica: Replica;
  /** C'[r], and its hash H'[r]. */
  sequence: number;
  hash: Uint8Array;
  base: number;
  goal: number;
}

/** The clocks of a shadow (B2): base, C' with H', goal. */
export class ShadowClock implements TakenClock {
  readonly #entries = new Map<string, ShadowEntry>();
  #isBegun = false;

  /** The first range has set base and C'. */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  taken(ridText: string): Taken | undefined {
    const entry = this.#entries.get(ridText);
    return entry === undefined ? undefined : { sequence: entry.sequence, hash: entry.hash, frozen: '' };
  }

  covers({ rid, sequence }: IncEntry): boolean {
    return sequence <= (this.#entries.get(byteString(rid))?.sequence ?? 0);
  }

  entries(): ShadowEntry[] {
    return [...this.#entries.values()];
  }

  /** Undefined: no range has come yet. */
  get clocks(): ShadowClocks | undefined {
    if (!this.#isBegun) return undefined;
    const of = (what: 'base' | 'sequence' | 'goal') =>
      new Map(this.entries().map((entry) => [entry.replica.ridText, entry[what]]));
    return { base: of('base'), taken: of('sequence'), goal: of('goal') };
  }

  /** B2: `clocks` is what an answer made of them, `e` names and hashes of what it covered. */
  answered(clocks: ShadowClocks, e: Iterable<FullClockEntry>, replicas: Replicas): void {
    for (const { name, hash } of e) {
      const replica = replicas.ensure(name);
      const { ridText } = replica;
      const known = this.#entries.get(ridText);
      this.#entries.set(ridText, {
        replica,
        sequence: clocks.taken.get(ridText) ?? 0,
        hash: this.#isBegun ? (known?.hash ?? new Uint8Array(0)) : hash,
        base: clocks.base.get(ridText) ?? 0,
        goal: clocks.goal.get(ridText) ?? 0,
      });
    }
    this.#isBegun = true;
  }

  /** C' moves by batches (B3). */
  step({ replica, sequence, hash }: ClockStep): void {
    const entry = this.#entries.get(replica.ridText) ?? { replica, sequence, hash, base: 0, goal: 0 };
    entry.sequence = sequence;
    entry.hash = hash;
    this.#entries.set(replica.ridText, entry);
  }

  put(tx: Transaction, steps: readonly ClockStep[] = []): void {
    const stepped = new Map(steps.map((step) => [step.replica.ridText, step]));
    const writer = new Writer(4 * 1024);
    writer.bytes[writer.at++] = FORMAT;
    const missing = steps.filter(({ replica }) => !this.#entries.has(replica.ridText));
    const fresh = missing.map((step): ShadowEntry => ({ ...step, base: 0, goal: 0 }));
    for (const entry of [...this.#entries.values(), ...fresh]) {
      const { sequence, hash } = stepped.get(entry.replica.ridText) ?? entry;
      writer.ensure(200);
      writeShort(writer, entry.replica.rid);
      writeShort(writer, entry.replica.author);
      writeShort(writer, entry.replica.incarnation);
      writeShort(writer, hash);
      writer.varint(sequence);
      writer.varint(entry.base);
      writer.varint(entry.goal);
    }
    tx.put(shadowTable, key, writer.take());
  }

  static remove(tx: Transaction): void {
    tx.remove(shadowTable, key);
  }

  /** Undefined: no range has come yet. Throws DATA_CORRUPT. */
  static load(reader: Reader, replicas: Replicas): ShadowClock | undefined {
    const bytes = reader.get(shadowTable, key);
    if (bytes === undefined) return undefined;
    const clock = new ShadowClock();
    try {
      clock.#read(new WireReader(bytes, 1), replicas);
    } catch (cause) {
      if (!(cause instanceof Malformed)) throw cause;
      throw new PinfoldError('DATA_CORRUPT', 'the row of the shadow is damaged', { cause });
    }
    clock.#isBegun = true;
    return clock;
  }

  #read(reader: WireReader, replicas: Replicas): void {
    while (reader.more) {
      const name = { rid: reader.view(), author: reader.view(), incarnation: reader.view() };
      const hash = reader.view();
      const replica = replicas.ensure(name);
      const [sequence, base, goal] = [reader.varint(), reader.varint(), reader.varint()];
      this.#entries.set(replica.ridText, { replica, sequence, hash, base, goal });
    }
  }
}

function writeShort(writer: Writer, bytes: Uint8Array): void {
  writer.varint(bytes.length);
  writer.bytes.set(bytes, writer.at);
  writer.at += bytes.length;
}
