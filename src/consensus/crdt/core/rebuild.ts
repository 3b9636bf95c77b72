import { SWAP_TAIL_OPS_MAX } from '../constants.ts';
import { type Clock, common, covers, joined, lacking } from './clocks.ts';

/** The clocks of a shadow (B2): what its rows began with, what it has taken in (C'), and what it must cover to be swapped in. */
export interface ShadowClocks {
  readonly base: Clock;
  readonly taken: Clock;
  readonly goal: Clock;
}

/**
 * B2: what an answer makes of the shadow's clocks; undefined: none has come yet. `cm` is the clock of my own snapshot, `ct` the
 * source's. The range holds the truth at E := Cm join Ct.
 *
 *   useless  the first answer brings nothing that I lack: a swap must move the clock (fault useless-source)
 *   behind   E does not cover C': what the shadow has passed over must be in the rows to come (fault range-below-clock)
 *
 * The first answer sets base, C' and goal, a later one moves the goal only (fault clock-of-last-range).
 */
export function answered(shadow: ShadowClocks | undefined, cm: Clock, ct: Clock): ShadowClocks | 'useless' | 'behind' {
  const e = joined(cm, ct);
  if (shadow === undefined) return covers(cm, ct) ? 'useless' : { base: e, taken: e, goal: e };
  if (!covers(e, shadow.taken)) return 'behind';
  return { ...shadow, goal: joined(shadow.goal, e) };
}

/** B5: C' covers the goal, and C but for the few operations that the swap's own transaction takes (swap-before-goal, swap-before-live). */
export function maySwap(shadow: ShadowClocks, c: Clock): boolean {
  return covers(shadow.taken, shadow.goal) && lacking(shadow.taken, c) <= SWAP_TAIL_OPS_MAX;
}

/**
 * B5, in the swap's transaction, when what C has and C' had not is taken: the new C and F. Batches that came as rows never were in
 * my log (fault floor-not-raised); those that I took in myself meanwhile are.
 */
export function swapped(
  shadow: ShadowClocks,
  c: Clock,
  floors: Clock,
): { clock: Map<string, number>; floors: Map<string, number> } {
  if (!covers(shadow.taken, shadow.goal)) throw new Error('a swap before C′ covers the goal (B5)');
  if (!covers(shadow.taken, c)) throw new Error('a swap before C′ covers C (B5)');
  const raised = new Map(floors);
  for (const [rid, base] of shadow.base) if (base > (c.get(rid) ?? 0)) raised.set(rid, base);
  return { clock: new Map(shadow.taken), floors: raised };
}

/**
 * L3: above what the own log must not be cut while a shadow stands: C', and the clock of my own snapshot that the range under way is
 * merged with, from which a first one begins. Undefined: nothing stands in the way.
 */
export function needsLogAbove(taken: Clock | undefined, asked: Clock | undefined): Clock | undefined {
  return taken === undefined || asked === undefined ? (taken ?? asked) : common(taken, asked);
}

/** B6: the live tables have come to cover the goal by themselves, so that a swap would move nothing. */
export function isNeedless(shadow: ShadowClocks, c: Clock): boolean {
  return covers(c, shadow.goal);
}
