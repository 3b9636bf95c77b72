import { byteString, equalBytes } from '../../model/bytes.ts';
import { verifyBatch } from './codec/signed-batch.ts';
import { SIGNATURES_KNOWN_MAX } from './constants.ts';
import type { Batch } from './core/types.ts';

/**
 * Signatures that were found right, of the last batches: the same batch comes by gossip and by Sync at nearly the same time, and checking
 * a signature is most of what a small one costs.
 */
export class KnownSignatures {
  /** By hash of the header. */
  readonly #right = new Map<string, Uint8Array>();

  /** Throws InvalidBatch. The operations are compared with the header each time. */
  verify(batch: Batch): void {
    const name = byteString(batch.hash);
    const right = this.#right.get(name);
    const isKnown = right !== undefined && equalBytes(right, batch.signature);
    verifyBatch(batch, isKnown);
    if (isKnown) return;
    this.#right.set(name, Uint8Array.from(batch.signature));
    if (this.#right.size <= SIGNATURES_KNOWN_MAX) return;
    for (const oldest of this.#right.keys()) {
      this.#right.delete(oldest);
      return;
    }
  }
}
