/** How far each replica is covered: rid as text (one character a byte) -> sequence. What is not in it is covered up to 0. */
export type Clock = ReadonlyMap<string, number>;

/** Whether `clock` covers all that `other` does. */
export function covers(clock: Clock, other: Clock): boolean {
  for (const [rid, sequence] of other) if (sequence > (clock.get(rid) ?? 0)) return false;
  return true;
}

/** The least clock that covers both. */
export function joined(a: Clock, b: Clock): Map<string, number> {
  const join = new Map(a);
  for (const [rid, sequence] of b) if (sequence > (join.get(rid) ?? 0)) join.set(rid, sequence);
  return join;
}

/** The greatest clock that both cover. */
export function common(a: Clock, b: Clock): Map<string, number> {
  const meet = new Map<string, number>();
  for (const [rid, sequence] of a) {
    const both = Math.min(sequence, b.get(rid) ?? 0);
    if (both > 0) meet.set(rid, both);
  }
  return meet;
}

/** How many operations `other` covers and `clock` does not. */
export function lacking(clock: Clock, other: Clock): number {
  let operations = 0;
  for (const [rid, sequence] of other) operations += Math.max(0, sequence - (clock.get(rid) ?? 0));
  return operations;
}
