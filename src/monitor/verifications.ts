import { Allowance } from '../runtime/allowance.ts';
import { MEMBERS_MAX, VERIFY_BURST, VERIFY_EVERY_MS } from './constants.ts';

/** Keeps a peer that sends signature after signature from taking this one's time. Times are monotonic, ms. */
export class Verifications {
  readonly #allowances = new Map<string, Allowance>();

  /** Whether one more signature that came through that peer may be verified now. */
  take(from: string, nowMs: number): boolean {
    let allowance = this.#allowances.get(from);
    if (allowance === undefined) {
      if (this.#allowances.size >= MEMBERS_MAX) this.#allowances.clear();
      allowance = new Allowance(VERIFY_BURST, VERIFY_EVERY_MS, nowMs);
      this.#allowances.set(from, allowance);
    }
    return allowance.take(nowMs);
  }

  left(peerId: string): void {
    this.#allowances.delete(peerId);
  }
}
