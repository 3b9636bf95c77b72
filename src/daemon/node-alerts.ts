import { type NodeState, type NodeStateName, type NodeStates, nodeStateNames } from '../ipfs/node-state.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { Component } from '../runtime/lifecycle.ts';

export interface NodeAlertsNeeds {
  nodeStates: NodeStates;
  monitor: Pick<Monitor, 'raise' | 'clear'>;
  peerId: string;
}

/** Has the state of the IPFS node stand as an alert while it is any but up: `IPFS_DOWN`, `IPFS_NO_SPACE`, ... */
export function nodeAlerts({ nodeStates, monitor, peerId }: NodeAlertsNeeds): Component {
  const show = ({ name, detail }: NodeState) => {
    for (const other of nodeStateNames) if (other !== name) monitor.clear(kindOf(other), peerId);
    if (name !== 'up') monitor.raise({ kind: kindOf(name), peerId, message: `the IPFS node: ${detail}` });
  };
  return {
    name: 'IPFS alerts',
    async start() {
      nodeStates.onChange(show);
      show(nodeStates.current);
    },
  };
}

function kindOf(name: NodeStateName): string {
  return `IPFS_${name.toUpperCase()}`;
}
