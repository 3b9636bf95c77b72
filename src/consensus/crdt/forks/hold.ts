/** While anybody holds it, nothing is written here and nothing taken in: both wait. */
export class Hold {
  readonly #onReleased: () => void;
  #holders = 0;

  constructor(onReleased: () => void) {
    this.#onReleased = onReleased;
  }

  get isHeld(): boolean {
    return this.#holders > 0;
  }

  /** The result lets go; calling it twice does nothing. */
  take(): () => void {
    this.#holders++;
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      if (--this.#holders === 0) this.#onReleased();
    };
  }
}
