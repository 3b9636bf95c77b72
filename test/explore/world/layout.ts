import type { Bounds } from './bounds.ts';
import { replicasMax } from './names.ts';

/**
 * A state of the world is a short list of numbers, copied as such. Those of stores, memories and calls stand for values
 * that never change (store.ts), so whatever is equal is the same number.
 */
export interface Layout {
  readonly size: number;
  readonly peers: number;
  readonly replicas: number;
}

/** What has been used up: four bits each, in this order; then flags. */
export const COUNTS = 0;
export const WRITES = 0;
export const CRASHES = 4;
export const CUTS = 8;
export const REBUILDS = 12;
export const HAS_BACKUP = 1 << 16;
/** Some disk was lost, or put back. */
export const LOST = 1 << 17;

/** Store that A may be put back to. */
export const BACKUP = 1;

const replicasAt = 2;
const peersAt = replicasAt + 3 * replicasMax;
const peerSize = 5;

/** Last batch that a replica ever wrote, and that ever left it: known to the invariants alone. */
export const madeAt = (replica: number) => replicasAt + replica * 3;
export const sentAt = (replica: number) => replicasAt + replica * 3 + 1;
/** Up to where its operations are answered DURABLE and not lost with a disk; << 8: REPLICATED 2. */
export const answeredAt = (replica: number) => replicasAt + replica * 3 + 2;

/** As readers see it; as the disk has it. */
export const currentAt = (peer: number) => peersAt + peer * peerSize;
export const flushedAt = (peer: number) => peersAt + peer * peerSize + 1;
export const memoryAtPeer = (peer: number) => peersAt + peer * peerSize + 2;
/** The range it is asking for; 0: none. */
export const callAt = (peer: number) => peersAt + peer * peerSize + 3;
/** Its replica; DEAD: it is lost for ever. */
export const replicaAt = (peer: number) => peersAt + peer * peerSize + 4;
export const DEAD = 8;

export function layoutOf({ peers, backups }: Bounds): Layout {
  return { size: peersAt + peers * peerSize, peers, replicas: backups ? replicasMax : peers };
}
