import { isPlanted } from '../planted.ts';
import { action } from '../world/action.ts';
import { sequenceOf } from '../world/clocks.ts';
import { answeredAt, replicaAt } from '../world/layout.ts';
import type { Steps } from '../world/steps.ts';

/** R7 and 6.1: another says after its flush how far it is, and what is on both disks is answered REPLICATED 2. */
export function ackSteps(steps: Steps, peer: number): void {
  const replica = steps.from[replicaAt(peer)] as number;
  const answered = steps.from[answeredAt(replica)] as number;
  const mine = Math.min(answered & 0xff, steps.flushed(peer).sequences[replica] as number);
  for (const other of steps.others(peer)) {
    const both = Math.min(mine, acknowledged(steps, other, replica));
    if (both <= answered >> 8) continue;
    const to = steps.begin();
    to[answeredAt(replica)] = (answered & 0xff) | (both << 8);
    steps.end(action('acknowledge', peer, other), peer);
  }
}

function acknowledged(steps: Steps, peer: number, replica: number): number {
  if (isPlanted('ack-before-flush')) return steps.current(peer).sequences[replica] as number;
  const { value, sequences } = steps.flushed(peer);
  const shadow = isPlanted('ack-from-shadow') ? value.shadow?.taken[replica] : undefined;
  return Math.max(sequences[replica] as number, sequenceOf(shadow ?? 0));
}
