import type { Clock } from '../../../runtime/clock.ts';
import type { Batch } from '../core/types.ts';
import type { Replicas } from '../state/replicas.ts';

const newsMax = 4_096;
/** What was heard so long ago and has not come may be gone with its holder; the next Hello says if it is not. */
const newsAgeMs = 60_000;

/** What others were heard to have and this peer lacks: for each replica up to which sequence. */
export class News {
  readonly #replicas: Replicas;
  readonly #clock: Clock;
  readonly #heard = new Map<string, { rid: Uint8Array; sequence: number; untilMs: number }>();

  constructor(replicas: Replicas, clock: Clock) {
    this.#replicas = replicas;
    this.#clock = clock;
  }

  announced({ rid, ridText, head }: Batch): void {
    this.heard(ridText, rid, head.last);
  }

  heard(ridText: string, rid: Uint8Array, sequence: number): void {
    if (sequence < (this.#heard.get(ridText)?.sequence ?? 0)) return;
    // The oldest goes: what one peer invents must not keep out what others tell.
    const [oldest] = this.#heard.size >= newsMax ? this.#heard.keys() : [];
    if (oldest !== undefined) this.#heard.delete(oldest);
    this.#heard.set(ridText, { rid, sequence, untilMs: this.#clock.monotonicMs() + newsAgeMs });
  }

  get size(): number {
    return this.#heard.size;
  }

  has(ridText: string): boolean {
    return this.#heard.has(ridText);
  }

  /** Whether anything heard of is still lacking. */
  get isLacking(): boolean {
    for (const [ridText, entry] of this.#heard) {
      const isFrozen = (this.#replicas.taken(ridText)?.frozen ?? '') !== '';
      const isOld = entry.untilMs <= this.#clock.monotonicMs();
      if (!isFrozen && !isOld && !this.#replicas.covers(entry)) return true;
      this.#heard.delete(ridText);
    }
    return false;
  }
}
