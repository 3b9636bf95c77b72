/** Namespaces are told apart by so many; those of one flow share a turn. One byte on disk. */
export const FLOWS = 256;

/**
 * Which turn the wishes of a namespace take: namespaces are served in turns, and hashed, so that nothing grows with how many there
 * are (stochastic fairness queueing: McKenney, INFOCOM 1990). FNV-1a, as it is on the disk.
 */
export function flowOf(namespace: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < namespace.length; at++) hash = Math.imul(hash ^ namespace.charCodeAt(at), 0x01000193) >>> 0;
  return ((hash ^ (hash >>> 16)) >>> 0) % FLOWS;
}
