/**
 * Waits for promises, one at a time, or for the signal. One listener for the whole life of a stream:
 * `Promise.race` against a promise that lives as long would keep a reaction of every wait.
 */
export class Abortable {
  readonly #signal: AbortSignal;
  readonly #onAbort = () => this.#reject?.(this.#signal.reason);
  #reject: ((reason: unknown) => void) | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Rejects with the signal's reason when it aborts first. What the promise does then goes unheard. */
  wait<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      promise.then(resolve, reject);
      if (this.#signal.aborted) reject(this.#signal.reason);
    });
  }

  release(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}
