import { batchOf, chain, slotAfter } from './clocks.ts';
import { answeredAt, COUNTS, currentAt, DEAD, flushedAt, type Layout, LOST, madeAt, replicaAt } from './layout.ts';
import { peerName } from './names.ts';
import type { State } from './steps.ts';
import { storeAt } from './store.ts';

/** The first invariant that does not hold: those of each store (store.ts), I4 and I5. */
export function stateProblem(layout: Layout, state: State): string | undefined {
  for (let peer = 0; peer < layout.peers; peer++) {
    if (!isAlive(state, peer)) continue;
    const problem = storeProblem(state, peer) ?? historyProblem(layout, state, peer);
    if (problem !== undefined) return problem;
  }
  for (let replica = 0; replica < layout.replicas; replica++) {
    const problem = promiseProblem(layout, state, replica);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function storeProblem(state: State, peer: number): string | undefined {
  const current = storeAt(state[currentAt(peer)] as number).problem;
  if (current !== undefined) return `${current}, at ${peerName(peer)}`;
  const flushed = storeAt(state[flushedAt(peer)] as number).problem;
  return flushed === undefined ? undefined : `${flushed}, on the disk of ${peerName(peer)}`;
}

/** I6: what a clock covers is what its author wrote, not what it wrote and lost. */
function historyProblem(layout: Layout, state: State, peer: number): string | undefined {
  const { clock } = storeAt(state[currentAt(peer)] as number).value;
  for (let replica = 0; replica < layout.replicas; replica++) {
    const id = batchOf(clock[replica] as number);
    if (id === 0 || id === state[madeAt(replica)]) continue;
    if (!isAmong(id, chain(slotAfter(state[madeAt(replica)] as number)))) {
      return `I6: ${peerName(peer)} has an operation that its author never wrote, or wrote otherwise`;
    }
  }
  return undefined;
}

function isAmong(id: number, batches: Iterable<number>): boolean {
  for (const other of batches) if (other === id) return true;
  return false;
}

function promiseProblem(layout: Layout, state: State, replica: number): string | undefined {
  const answered = state[answeredAt(replica)] as number;
  const durable = answered & 0xff;
  const replicated = answered >> 8;
  if (durable > 0 && holders(layout, state, replica, durable) < 1) return 'I4: a durable operation is on no disk';
  const isLost = ((state[COUNTS] as number) & LOST) !== 0;
  if (replicated > 0 && !isLost && holders(layout, state, replica, replicated) < 2) {
    return 'I5: an operation acknowledged by two disks is on fewer';
  }
  return undefined;
}

function holders(layout: Layout, state: State, replica: number, sequence: number): number {
  let holders = 0;
  for (let peer = 0; peer < layout.peers; peer++) {
    const flushed = storeAt(state[flushedAt(peer)] as number);
    if (isAlive(state, peer) && (flushed.sequences[replica] as number) >= sequence) holders++;
  }
  return holders;
}

function isAlive(state: State, peer: number): boolean {
  return (state[replicaAt(peer)] as number) < DEAD;
}
