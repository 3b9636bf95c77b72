import { GROUP_OPS_MAX } from '../constants.ts';

/**
 * B4: while the shadow catches up with what the live tables take in, every second transaction is the shadow's, with up to twice the
 * operations: so it catches up with any writer. And for the moment of the swap there is no other.
 */
export class Turns {
  #isCatchingUp = false;
  #isHeld = false;
  /** The live tables had their turn. */
  #isOwed = false;
  #liveOperations = 0;
  readonly #listeners = new Set<() => void>();

  /** Whether the live tables may be written now. */
  get isLive(): boolean {
    return !this.#isHeld && !this.#isOwed;
  }

  /** How many operations the shadow may take in its turn. */
  get operationsMax(): number {
    return Math.max(GROUP_OPS_MAX, 2 * this.#liveOperations);
  }

  /** Called when the live tables may be written again. */
  onLive(listener: () => void): void {
    this.#listeners.add(listener);
  }

  liveWrote(operations: number): void {
    this.#liveOperations = operations;
    this.#isOwed = this.#isCatchingUp;
  }

  shadowWrote(): void {
    this.#isOwed = false;
    this.#tell();
  }

  /** `work` waits for nothing but the own disk: others wait for it. */
  async catchUp(work: () => Promise<void>): Promise<void> {
    this.#isCatchingUp = true;
    try {
      await work();
    } finally {
      this.#isCatchingUp = false;
      this.shadowWrote();
    }
  }

  /** Nothing but `work` is written until it ends. It waits for nothing but what is queued already. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    this.#isHeld = true;
    try {
      return await work();
    } finally {
      this.#isHeld = false;
      this.#tell();
    }
  }

  #tell(): void {
    if (this.isLive) for (const listener of this.#listeners) listener();
  }
}
