/** What a checker found: an invariant (docs/protocol.md section 9) or a promise that does not hold. */
export class Violation extends Error {
  readonly invariant: string;

  constructor(invariant: string, message: string, options?: { cause?: unknown }) {
    super(`${invariant}: ${message}`, options);
    this.name = 'Violation';
    this.invariant = invariant;
  }
}
