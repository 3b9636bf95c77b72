import { isPlanted } from '../planted.ts';
import { groupProblem } from '../rules/grouping.ts';
import { settled } from '../rules/settling.ts';
import { fullNeeded, nothingLeft, stream } from '../rules/syncing.ts';
import { isDead, leftOut, take } from '../rules/taking.ts';
import { type Write, write, writes } from '../rules/writing.ts';
import { action } from '../world/action.ts';
import { knownBatch } from '../world/batches.ts';
import { chain, covers, join } from '../world/clocks.ts';
import {
  CRASHES,
  callAt,
  currentAt,
  flushedAt,
  madeAt,
  memoryAtPeer,
  replicaAt,
  sentAt,
  WRITES,
} from '../world/layout.ts';
import { memoryAt, memoryOf } from '../world/memory.ts';
import { emptyRowNumber } from '../world/rows.ts';
import { count, countUp, crash, flush, lastOf, type Steps } from '../world/steps.ts';
import { type Store, storeOf } from '../world/store.ts';

/** Writing, flushing, crashing, and taking in what others wrote, at one peer. */
export function liveSteps(steps: Steps, peer: number): void {
  const { bounds, from } = steps;
  if (count(from, WRITES) < bounds.writes) writeSteps(steps, peer);
  if (!bounds.isFlushedAtOnce) flushSteps(steps, peer);
  deliverSteps(steps, peer);
  for (const source of steps.others(peer)) {
    syncStep(steps, peer, source);
    if (isPlanted('clock-before-data')) headerStep(steps, peer, source);
  }
}

function writeSteps(steps: Steps, peer: number): void {
  const { bounds, from } = steps;
  const { rows } = steps.current(peer).value;
  for (let key = 0; key < bounds.keys; key++) {
    writeStep(steps, peer, 'pin', key);
    if (bounds.expires) writeStep(steps, peer, 'pin that expires', key);
    const row = rows[key] as number;
    if (row === emptyRowNumber) continue;
    if (bounds.unpins) writeStep(steps, peer, 'unpin', key);
    if (bounds.expires) writeStep(steps, peer, 'expire', key);
    if (bounds.amends) writeStep(steps, peer, 'amend', key);
  }
  const mayWriteTwo = count(from, WRITES) + 1 < bounds.writes;
  for (let key = 0; key < bounds.keys && bounds.groups && mayWriteTwo; key++) {
    if (bounds.unpins) writeStep(steps, peer, 'pin and unpin', key);
    writeStep(steps, peer, 'pin twice', key);
  }
  if (bounds.updates && rows[0] !== emptyRowNumber && mayWriteTwo) {
    writeStep(steps, peer, 'update', 0);
  }
}

function writeStep(steps: Steps, peer: number, what: Write, key: number): void {
  const { from } = steps;
  const replica = from[replicaAt(peer)] as number;
  const code = writes.indexOf(what);
  const written = write(steps.current(peer), from[memoryAtPeer(peer)] as number, replica, code, key);
  if (written === undefined) return;
  const { store, memory, batch } = written;
  const to = steps.begin();
  to[currentAt(peer)] = store.id;
  to[memoryAtPeer(peer)] = memory;
  countUp(to, WRITES, batch.last - batch.first + 1);
  const isTwice = lastOf(from[madeAt(replica)] as number) >= batch.first;
  to[madeAt(replica)] = batch.id;
  if (isPlanted('gossip-before-flush')) to[sentAt(replica)] = batch.id;
  steps.end(action('write', peer, code, key), peer, isTwice ? 'I6: a sequence number was used twice' : undefined);
}

function flushSteps(steps: Steps, peer: number): void {
  const { from, bounds } = steps;
  const isFlushed = from[currentAt(peer)] === from[flushedAt(peer)];
  if (!isFlushed) {
    flush(steps.begin(), peer);
    steps.end(action('flush', peer), peer);
  }
  const hasMemory = from[memoryAtPeer(peer)] !== 0 || from[callAt(peer)] !== 0;
  if ((!isFlushed || hasMemory) && count(from, CRASHES) < bounds.crashes) {
    const to = steps.begin();
    crash(to, peer);
    countUp(to, CRASHES);
    steps.endAnew(action('crash', peer), peer);
  }
}

/** Any batch that ever left a peer, any time: lost, doubled and out of order at will. */
function deliverSteps(steps: Steps, peer: number): void {
  const store = steps.current(peer);
  for (let replica = 0; replica < steps.layout.replicas; replica++) {
    for (const id of chain((steps.from[sentAt(replica)] as number) * 8)) {
      const { last, first } = knownBatch(id);
      taken(steps, peer, store, id, action('deliver', peer, replica, first));
      if (last <= (store.sequences[replica] as number)) break;
    }
  }
}

/** What the log of another says is next for the clock that this peer would send. */
function syncStep(steps: Steps, peer: number, source: number): void {
  const { first, problem } = stream(steps.flushed(source), steps.flushed(peer).value.clock);
  const step = action('sync', peer, source);
  if (problem !== undefined) {
    steps.begin();
    steps.end(step, peer, problem);
  }
  if (first !== fullNeeded && first !== nothingLeft) taken(steps, peer, steps.current(peer), first, step);
}

function taken(steps: Steps, peer: number, store: Store, id: number, step: number): void {
  const result =
    isPlanted('superseded-left-out') && isDead(steps.flushedStores(), id) ? leftOut(store, id) : take(store, id);
  if (result === 'duplicate') return;
  if (typeof result === 'object') {
    settle(steps, peer, result, step, steps.bounds.groups ? groupedProblem(steps, store, id, result) : undefined);
    return;
  }
  if (result === 'pend') {
    if (steps.bounds.pends) putAside(steps, peer, id, step);
    return;
  }
  steps.begin();
  steps.end(step, peer, `N4: a batch of an honest author is taken for a fork (${result})`);
}

/** The fault clock-before-data. */
function headerStep(steps: Steps, peer: number, source: number): void {
  const mine = steps.current(peer);
  const theirs = steps.flushed(source).value.clock;
  if (covers(mine.value.clock, theirs)) return;
  steps.begin()[currentAt(peer)] = storeOf({ ...mine.value, clock: join(mine.value.clock, theirs) }).id;
  steps.end(action('header', peer, source), peer);
}

/** The batch is taken, and those put aside that waited for it. */
function settle(steps: Steps, peer: number, store: Store, step: number, problem: string | undefined): void {
  const memory = steps.from[memoryAtPeer(peer)] as number;
  const after = settled(store, memory);
  const to = steps.begin();
  to[currentAt(peer)] = after.store.id;
  to[memoryAtPeer(peer)] = after.memory;
  steps.end(step, peer, problem ?? after.problem);
}

/** Whatever may follow it, in the same transaction. */
function groupedProblem(steps: Steps, store: Store, id: number, after: Store): string | undefined {
  for (let replica = 0; replica < steps.layout.replicas; replica++) {
    for (const second of chain((steps.from[sentAt(replica)] as number) * 8)) {
      if (knownBatch(second).last <= (after.sequences[replica] as number)) break;
      const both = take(after, second);
      const problem = typeof both === 'object' ? groupProblem(store, id, second, both) : undefined;
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

function putAside(steps: Steps, peer: number, id: number, step: number): void {
  const memory = memoryAt(steps.from[memoryAtPeer(peer)] as number);
  if (memory.pending.includes(id)) return;
  const to = steps.begin();
  to[memoryAtPeer(peer)] = memoryOf({ ...memory, pending: [...memory.pending, id].sort((a, b) => a - b) });
  steps.end(step, peer);
}
