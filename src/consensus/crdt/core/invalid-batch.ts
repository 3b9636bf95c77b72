/**
 * The batch breaks a rule that holds on every peer and for ever (docs/protocol.md section 3, Valid): it is dropped, counted, and
 * its forwarder scored down. `reason` is a constant, fit for a metric's label.
 */
export class InvalidBatch extends Error {
  override readonly name = 'InvalidBatch';
  readonly reason: InvalidReason;

  constructor(reason: InvalidReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

export type InvalidReason = 'malformed' | 'limit' | 'sequence' | 'stamp' | 'hash' | 'signature' | 'operation' | 'value';
