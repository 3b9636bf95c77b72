/**
 * How the IPFS node of this peer is, with what follows from it.
 *
 *   up              it answers
 *   restarting      it was there a moment ago, or this peer has only just started: short calls wait for it, pins are put off
 *   down            it does not answer: every call fails at once, until a look at it succeeds
 *   unauthorized    it answers, and refuses our credentials: as down
 *   other_identity  another node answers at its address: nothing is asked of it, as pins of this peer are not its pins
 *   no_space        its disk is full: nothing more is stored; unpinning and collecting go on, to make room
 *   collecting      it collects garbage: pins and puts wait, and a pin that waits for it does not count as stalled
 */
export type NodeStateName =
  | 'up'
  | 'restarting'
  | 'down'
  | 'unauthorized'
  | 'other_identity'
  | 'no_space'
  | 'collecting';

export const nodeStateNames: readonly NodeStateName[] = [
  'up',
  'restarting',
  'down',
  'unauthorized',
  'other_identity',
  'no_space',
  'collecting',
];

export interface NodeState {
  name: NodeStateName;
  /** For people: what is wrong and what to do; empty when it is up. */
  detail: string;
}

export const nodeUp: NodeState = { name: 'up', detail: '' };

/** Told without asking the node. */
export interface NodeStates {
  readonly current: NodeState;
  /** `listener` is called after each change. */
  onChange(listener: (state: NodeState) => void): void;
}
