/** Who calls, for how long, and with what rights: made by each door once a call, taken by every handler. */
export interface CallContext {
  /** "anonymous" while there is no authentication. */
  readonly principal: string;
  /** Namespaces that the caller may see and change. */
  readonly namespaces: readonly string[] | 'all';
  /** Wall clock, milliseconds since 1970; undefined: the caller gave none. */
  readonly deadlineMs: number | undefined;
  /** Aborts when the caller goes away or the deadline passes; its reason is a PinfoldError (CANCELLED, DEADLINE). */
  readonly signal: AbortSignal;
}

/** Of the time that the caller gave a little less than what is left, so that the answer still gets there; it may have none left. */
export function answerWithinMs({ deadlineMs }: Pick<CallContext, 'deadlineMs'>, nowMs: number): number {
  return deadlineMs === undefined ? Number.POSITIVE_INFINITY : Math.max(0, (deadlineMs - nowMs) * 0.9);
}
