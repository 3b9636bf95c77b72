import { all } from '../rules/cutting.ts';
import { type Action, actionParts } from '../world/action.ts';
import { knownBatch } from '../world/batches.ts';
import { callNumbered } from '../world/calls.ts';
import { type Slots, sequenceOf } from '../world/clocks.ts';
import { callAt, currentAt, DEAD, flushedAt, madeAt, replicaAt } from '../world/layout.ts';
import { dotName, keyNumber, peerName, replicaName } from '../world/names.ts';
import { rowOf } from '../world/rows.ts';
import type { State } from '../world/steps.ts';
import { type Store, storeAt } from '../world/store.ts';
import type { World } from '../world/world.ts';
import type { Found } from './search.ts';

/** A way through a world, told again: a line for each step, then what each peer holds at the end. */
export function story(world: World, { path, problem }: Found): string[] {
  let state = world.start();
  const lines: string[] = [];
  for (const [i, step] of path.entries()) {
    const after = stateAfter(world, state, step);
    lines.push(`${String(i + 1).padStart(3)}. ${sentence(step, state, after)}`);
    state = after;
  }
  for (let peer = 0; peer < world.bounds.peers; peer++) lines.push(`     ${holdings(state, peer)}`);
  if (problem.endsWith('after healing')) lines.push(...world.healingStory(state).map((line) => `  -> ${line}`));
  return lines;
}

function stateAfter(world: World, state: State, step: Action): State {
  let after: State | undefined;
  world.next(state, (action, next) => {
    if (action === step) after ??= next.slice();
  });
  if (after === undefined) throw new Error('a step that is not possible here');
  return after;
}

function sentence(step: Action, before: State, after: State): string {
  const { kind, peer, b, c } = actionParts(step);
  const name = peerName(peer);
  const other = peerName(b) ?? '';
  switch (kind) {
    case 'write':
      return `${name} writes ${batchText(after[madeAt(after[replicaAt(peer)] as number)] as number)}`;
    case 'deliver':
      return `${name} hears of ${dotName(b, c)}, and ${isSame(before, after, peer) ? 'puts it aside' : 'takes it'}`;
    case 'sync':
      return `${name} asks ${other} for what it lacks (Sync), and takes the next batch: ${difference(before, after, peer)}`;
    case 'take':
      return `${name} takes ${dotName(b, c)} into its shadow`;
    case 'cut':
      return `${name} cuts its log${cutText(b, c)}: F ${sequencesText(storeAt(after[currentAt(peer)] as number).value.floor)}`;
    case 'ask':
      return `${name} asks ${other} for the next range: key ${shadowOf(before, peer)?.next}`;
    case 'answer':
      return `${name} has the answer${callText(after, peer)}`;
    case 'acknowledge':
      return `${other} tells ${name} how far it is: what both have is REPLICATED 2`;
    case 'header':
      return `${name} takes the clock of ${other}, the data to follow`;
    default:
      return `${name} ${sentences[kind]}`;
  }
}

const sentences = {
  start: 'starts',
  flush: 'flushes',
  crash: 'crashes, and starts again from its disk',
  begin: 'begins a shadow',
  store: 'puts the range into its shadow, if it may',
  swap: 'swaps the shadow in',
  discard: 'discards its shadow',
  backup: 'has its disk copied',
  restore: 'is put back to the copy, or to nothing',
  lose: 'is lost for ever',
} as const;

function cutText(what: number, isOverdue: number): string {
  const of = what === all ? '' : ` of ${replicaName(what)}`;
  return isOverdue === 1 ? `${of}, which cannot wait for a shadow` : of;
}

function isSame(before: State, after: State, peer: number): boolean {
  return before[currentAt(peer)] === after[currentAt(peer)];
}

function difference(before: State, after: State, peer: number): string {
  const was = storeAt(before[currentAt(peer)] as number).sequences;
  const is = storeAt(after[currentAt(peer)] as number).sequences;
  return is.flatMap((sequence, r) => (sequence === was[r] ? [] : [dotName(r, sequence)])).join(' ') || 'none';
}

function callText(state: State, peer: number): string {
  const call = callNumbered(state[callAt(peer)] as number);
  return call?.stage === 'answered' ? `: the truth at ${clockText(call.e)} is ${rowText(call.row)}` : ', of no use';
}

function shadowOf(state: State, peer: number) {
  return storeAt(state[currentAt(peer)] as number).value.shadow;
}

function batchText(id: number): string {
  const { content, replica, first, tables } = knownBatch(id);
  const texts = content.operations.map(({ kind, key, sees }, i) => {
    const dots: string[] = [];
    for (let n = 0; n < sees.length; n += 2) {
      dots.push(dotName(tables.replicas[sees[n] as number] as number, sees[n + 1] as number));
    }
    const what = ['', 'pin', 'unpin', 'amendment'][kind];
    return `${dotName(replica, first + i)}, ${what} of key ${keyNumber(key)} that sees ${dots.join(' ') || 'nothing'}`;
  });
  return texts.join(' and ');
}

function holdings(state: State, peer: number): string {
  if ((state[replicaAt(peer)] as number) >= DEAD) return `${peerName(peer)} is lost`;
  const current = storeAt(state[currentAt(peer)] as number);
  const flushed = storeAt(state[flushedAt(peer)] as number);
  const disk = current === flushed ? '' : `; on its disk: ${storeText(flushed)}`;
  return `${peerName(peer)} holds ${storeText(current)}${disk}`;
}

function storeText({ value }: Store): string {
  const rows = value.rows.map((row, key) => `key ${key} ${rowText(row)}`);
  const floor = value.floor.some((sequence) => sequence > 0) ? `, F ${sequencesText(value.floor)}` : '';
  const { shadow } = value;
  const text = `C ${clockText(value.clock)}${floor}, ${rows.join(', ')}`;
  if (shadow === undefined) return text;
  const shadowRows = shadow.rows.slice(0, shadow.next).map((row, key) => `key ${key} ${rowText(row)}`);
  const goal = `goal ${clockText(shadow.goal)}`;
  return `${text}; shadow: C' ${clockText(shadow.taken)}, ${goal}, ${shadowRows.join(', ') || 'no range yet'}`;
}

function rowText(row: number): string {
  const dots = rowOf(row).map(({ replica, sequence, stamp, placementStamp, placementReplica }) => {
    const isMoved = placementStamp !== stamp || placementReplica !== replica;
    return `${dotName(replica, sequence)}${isMoved ? `@${replicaName(placementReplica)}` : ''}`;
  });
  return `{${dots.join(' ')}}`;
}

function clockText(clock: Slots): string {
  return sequencesText(clock.map(sequenceOf));
}

function sequencesText(sequences: readonly number[]): string {
  return `[${sequences.flatMap((sequence, r) => (sequence > 0 ? [dotName(r, sequence)] : [])).join(' ')}]`;
}
