/** Who keeps garbage collection away, each until it lets go. */
export class Protections {
  readonly #onRelease: () => void;
  #count = 0;

  constructor(onRelease: () => void) {
    this.#onRelease = onRelease;
  }

  get count(): number {
    return this.#count;
  }

  /** Releasing twice does nothing. */
  protect(): { release(): void } {
    let isHeld = true;
    this.#count++;
    return {
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#count--;
        this.#onRelease();
      },
    };
  }
}
