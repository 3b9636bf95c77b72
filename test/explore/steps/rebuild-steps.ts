import { isPlanted } from '../planted.ts';
import {
  begun,
  discarded,
  everyKey,
  filled,
  isUseless,
  mergedRange,
  swappedStore,
  unnamed,
} from '../rules/rebuilding.ts';
import { takeIntoShadow } from '../rules/taking.ts';
import { action } from '../world/action.ts';
import { knownBatch } from '../world/batches.ts';
import { type Call, callNumbered, callOf, noCall } from '../world/calls.ts';
import { chain, join, sequenceOf } from '../world/clocks.ts';
import { callAt, currentAt, REBUILDS, sentAt } from '../world/layout.ts';
import { keysMax } from '../world/names.ts';
import { count, countUp, type Steps } from '../world/steps.ts';
import { type Shadow, type Store, storeOf } from '../world/store.ts';

/** A rebuild at one peer, step by step; each range from any peer, also from one that rebuilds itself. */
export function rebuildSteps(steps: Steps, peer: number): void {
  const { shadow } = steps.current(peer).value;
  if (shadow === undefined) {
    beginStep(steps, peer);
    return;
  }
  const call = callNumbered(steps.from[callAt(peer)] as number);
  if (call !== undefined) callStep(steps, peer, call);
  else if (shadow.next < keysMax) askSteps(steps, peer, shadow);
  if (shadow.next > 0) shadowSteps(steps, peer, shadow);
  replaced(steps, peer, discarded(steps.current(peer)), action('discard', peer), true);
}

function beginStep(steps: Steps, peer: number): void {
  const { from, bounds } = steps;
  if (count(from, REBUILDS) >= bounds.rebuilds) return;
  const mine = steps.current(peer).value.clock;
  if (steps.others(peer).every((other) => isUseless(mine, steps.flushed(other).value.clock))) return;
  const to = steps.begin();
  to[currentAt(peer)] = begun(steps.current(peer), namedAtFirst(steps, peer)).id;
  countUp(to, REBUILDS);
  steps.end(action('begin', peer), peer);
}

/** A join changes everything, and says so. */
function namedAtFirst(steps: Steps, peer: number): number {
  if (!steps.bounds.isFeedChecked) return unnamed;
  const isJoin = steps.current(peer).sequences.every((sequence) => sequence === 0);
  return isJoin ? everyKey : 0;
}

function askSteps(steps: Steps, peer: number, shadow: Shadow): void {
  const mine = steps.flushed(peer).value;
  for (const source of steps.others(peer)) {
    const ct = steps.flushed(source).value.clock;
    if (shadow.next === 0 && isUseless(mine.clock, ct)) continue;
    const to = steps.begin();
    if (shadow.next === 0) to[currentAt(peer)] = feedFromHere(steps, peer, shadow).id;
    const row = mine.rows[shadow.next] as number;
    to[callAt(peer)] = callOf({
      stage: 'asked',
      source,
      cm: mine.clock,
      row,
      ct: isPlanted('clock-of-start') ? ct : [],
    });
    steps.end(action('ask', peer, source), peer);
  }
}

/** The swap will name what the live rows take in from the state on that the first range is merged with. */
function feedFromHere(steps: Steps, peer: number, shadow: Shadow): Store {
  const { value } = steps.current(peer);
  if (shadow.named === unnamed || shadow.named === everyKey) return steps.current(peer);
  const before = steps.flushed(peer).value.rows;
  const named = value.rows.reduce((bits, row, key) => (row === before[key] ? bits : bits | (1 << key)), 0);
  return storeOf({ ...value, shadow: { ...shadow, named } });
}

function callStep(steps: Steps, peer: number, call: Call): void {
  if (call.stage === 'asked') {
    const answered = steps.isAlive(call.source) ? answer(steps, peer, call) : noCall;
    steps.begin()[callAt(peer)] = answered;
    steps.end(action('answer', peer), peer);
    return;
  }
  const to = steps.begin();
  to[callAt(peer)] = noCall;
  const e = isPlanted('clock-of-end') ? join(call.e, steps.flushed(call.source).value.clock) : call.e;
  const after = filled(steps.current(peer), { ...call, e });
  to[currentAt(peer)] = (isPlanted('clock-before-swap') ? clockAdvanced(after, e) : after).id;
  steps.end(action('store', peer), peer);
}

/** One flushed snapshot of the source: its rows and its clock. */
function answer(steps: Steps, peer: number, call: Call & { stage: 'asked' }): number {
  const shadow = steps.current(peer).value.shadow as Shadow;
  const source = isPlanted('serve-unflushed') ? steps.current(call.source) : steps.flushed(call.source);
  const ct = isPlanted('clock-of-start') ? call.ct : source.value.clock;
  if (shadow.next === 0 && isUseless(call.cm, ct)) return noCall;
  const theirs = source.value.rows[shadow.next] as number;
  const isLater = isPlanted('equal-from-later') && theirs === call.row;
  const merged = isLater
    ? { row: steps.current(peer).value.rows[shadow.next] as number, differs: false }
    : mergedRange(shadow.next, call.row, call.cm, theirs, ct);
  const differs = merged.differs && shadow.named !== unnamed;
  const kept = isPlanted('clock-of-end') ? call.source : 0;
  return callOf({ stage: 'answered', source: kept, e: join(call.cm, ct), row: merged.row, differs });
}

function clockAdvanced(store: Store, e: readonly number[]): Store {
  return storeOf({ ...store.value, clock: join(store.value.clock, e) });
}

/** B3 from my log or another's: what ever left a peer may still be in one. B5 when it may be. */
function shadowSteps(steps: Steps, peer: number, { taken }: Shadow): void {
  const store = steps.current(peer);
  for (let replica = 0; replica < steps.layout.replicas; replica++) {
    const first = sequenceOf(taken[replica] as number) + 1;
    const isNext = (id: number) => knownBatch(id).first === first;
    const id =
      [...chain((steps.from[sentAt(replica)] as number) * 8)].find(isNext) ??
      store.value.log.find((logged) => knownBatch(logged).replica === replica && isNext(logged));
    if (id === undefined) continue;
    const after = takeIntoShadow(store, id);
    if (typeof after === 'object') replaced(steps, peer, after, action('take', peer, replica, first));
  }
  const swap = swappedStore(store);
  if (swap !== undefined) replaced(steps, peer, swap.store, action('swap', peer), true, swap.problem);
}

function replaced(steps: Steps, peer: number, store: Store, step: number, endsCall = false, problem?: string): void {
  const to = steps.begin();
  to[currentAt(peer)] = store.id;
  if (endsCall) to[callAt(peer)] = noCall;
  steps.end(step, peer, problem);
}
