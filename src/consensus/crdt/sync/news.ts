import type { Batch } from '../core/types.ts';
import type { Replicas } from '../state/replicas.ts';

const newsMax = 4_096;

/** What others were heard to have and this peer lacks: for each replica up to which sequence. */
export class News {
  readonly #replicas: Replicas;
  readonly #heard = new Map<string, { rid: Uint8Array; sequence: number }>();

  constructor(replicas: Replicas) {
    this.#replicas = replicas;
  }

  announced({ rid, ridText, head }: Batch): void {
    this.heard(ridText, rid, head.last);
  }

  heard(ridText: string, rid: Uint8Array, sequence: number): void {
    if (this.#heard.size >= newsMax || sequence <= (this.#heard.get(ridText)?.sequence ?? 0)) return;
    this.#heard.set(ridText, { rid, sequence });
  }

  /** Whether anything heard of is still lacking. */
  get isLacking(): boolean {
    for (const [ridText, entry] of this.#heard) {
      const isFrozen = (this.#replicas.taken(ridText)?.frozen ?? '') !== '';
      if (!isFrozen && !this.#replicas.covers(entry)) return true;
      this.#heard.delete(ridText);
    }
    return false;
  }
}
