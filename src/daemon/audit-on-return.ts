import type { NodeStateName, NodeStates } from '../ipfs/node-state.ts';
import type { Tracker } from '../tracker/tracker.ts';

/** While it is in one of these, anything may happen to what it holds: its repository may be another when it is back. */
const away: readonly NodeStateName[] = ['restarting', 'down', 'unauthorized', 'other_identity'];

/** A node that was away, for however short a time, is audited when it is back. */
export function auditOnReturn(nodeStates: NodeStates, tracker: Pick<Tracker, 'auditSoon'>): void {
  let wasAway = away.includes(nodeStates.current.name);
  nodeStates.onChange(({ name }) => {
    const isAway = away.includes(name);
    if (wasAway && !isAway) tracker.auditSoon();
    wasAway = isAway;
  });
}
