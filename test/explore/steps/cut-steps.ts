import { all, cutStore } from '../rules/cutting.ts';
import { action } from '../world/action.ts';
import { callNumbered, noCall } from '../world/calls.ts';
import { CUTS, callAt, currentAt } from '../world/layout.ts';
import { count, countUp, type Steps } from '../world/steps.ts';

/** L1 to L3: cut anywhere, any time. */
export function cutSteps(steps: Steps, peer: number): void {
  const { from, bounds, layout } = steps;
  if (count(from, CUTS) >= bounds.cuts) return;
  for (let what = 0; what <= all; what++) {
    if (what !== all && (!bounds.cutsAnywhere || what >= layout.replicas)) continue;
    cutStep(steps, peer, what, false);
    if (steps.current(peer).value.shadow !== undefined) cutStep(steps, peer, what, true);
  }
}

function cutStep(steps: Steps, peer: number, what: number, isOverdue: boolean): void {
  const store = steps.current(peer);
  const call = callNumbered(steps.from[callAt(peer)] as number);
  const asked = call?.stage === 'asked' ? call.cm : call?.e;
  const after = cutStore(store, steps.flushed(peer), asked, what, isOverdue);
  if (after === store) return;
  const to = steps.begin();
  to[currentAt(peer)] = after.id;
  if (after.value.shadow === undefined) to[callAt(peer)] = noCall;
  countUp(to, CUTS);
  steps.end(action('cut', peer, what, Number(isOverdue)), peer);
}
