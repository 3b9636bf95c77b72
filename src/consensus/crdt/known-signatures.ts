import { byteString, equalBytes } from '../../model/bytes.ts';
import { verifyBatch } from './codec/signed-batch.ts';
import { SIGNATURES_KNOWN_MAX } from './constants.ts';
import type { Batch } from './core/types.ts';

/**
 * Signatures that were found right, of the last batches: the same batch comes by gossip and by Sync at nearly the same time, and
 * is read from the log whenever others are sent it; checking a signature is most of what a small one costs.
 */
export class KnownSignatures {
  /** By hash of the header. */
  readonly #right = new Map<string, Uint8Array>();

  /** Throws InvalidBatch. The operations are compared with the header each time. */
  verify(batch: Batch): void {
    const right = this.#right.get(byteString(batch.hash));
    const isKnown = right !== undefined && equalBytes(right, batch.signature);
    verifyBatch(batch, isKnown);
    if (!isKnown) this.note(batch);
  }

  /** One that is right, as it was found so or made here. */
  note({ hash, signature }: Pick<Batch, 'hash' | 'signature'>): void {
    this.#right.set(byteString(hash), Uint8Array.from(signature));
    if (this.#right.size <= SIGNATURES_KNOWN_MAX) return;
    for (const oldest of this.#right.keys()) {
      this.#right.delete(oldest);
      return;
    }
  }
}
