import type { Pin } from '../../model/pin.ts';
import { everywhere } from '../../model/pin.ts';

export type Standing = 'takes' | 'keeps' | 'leaves';

/** Which peers pins can lie on, at one moment. */
export interface Places {
  /** The same text: the same standings. */
  readonly fingerprint: string;
  readonly peers: readonly Place[];
  /** Undefined: it is not known, and let be for now. */
  standing(peerId: string): Standing | undefined;
  /** Peers that take. */
  readonly takers: readonly string[];
  /** The allocator's word. What is valid of `current` is kept, as far as the pin wants so many. */
  desired(pin: Pin, current: readonly string[]): string[];
  /** As if these peers were to be emptied, or only these took pins. */
  with(change: { leaves?: readonly string[]; takes?: readonly string[] }): Places;
  /** Over no fewer regions, zones or whatever else pins are spread over. */
  isSpreadAsWell(peerIds: readonly string[], as: readonly string[]): boolean;
}

export interface Place {
  peerId: string;
  standing: Standing;
  /** Free, and free and used, bytes; 0: not known. */
  free: number;
  space: number;
}

/** Of a pin that should lie otherwise: the lower, the more urgent. `wait`: some peer of it is not known, and may come back or be lost. */
export type Concern = number | 'wait' | undefined;

/** Those that lie on peers enough come behind those that do not. */
const enough = 10_000;

/** Cheap: it is asked of every pin. The rank is the number of its allocations that are valid. */
export function concernOf(pin: Pin, places: Places): Concern {
  const { allocations, replicationMin, replicationMax } = pin;
  if (replicationMin === everywhere) return undefined;
  let valid = 0;
  let taking = 0;
  for (const peerId of allocations) {
    const standing = places.standing(peerId);
    if (standing === undefined) return 'wait';
    if (standing !== 'leaves') valid++;
    if (standing === 'takes') taking++;
  }
  const canGetMore = valid < replicationMax && taking < places.takers.length;
  if (valid === allocations.length && valid <= replicationMax && !canGetMore) return undefined;
  return valid < replicationMin ? valid : enough + valid;
}

/** Where a pin should lie: what it has and can keep, the first ones if that is more than it wants, and more if there is. */
export function desiredPlacement(pin: Pin, places: Places): string[] {
  const valid = pin.allocations.filter((peerId) => places.standing(peerId) !== 'leaves');
  return places.desired(pin, valid.slice(0, pin.replicationMax));
}
