import { setOption } from '../config/edit-file.ts';
import { configInvalid } from '../config/problem.ts';
import type { LoadedPeer } from './load-peer.ts';

/** Keeps the trust list where it was read from. Throws CONFIG_INVALID where a flag or variable says it: it would say it again. */
export function trustFile({ paths, givenBy }: Pick<LoadedPeer, 'paths' | 'givenBy'>) {
  const at = 'crdt.trustedPeers';
  return async (peerIds: readonly string[] | 'all'): Promise<void> => {
    const source = givenBy(at);
    if (source !== undefined) {
      throw configInvalid([{ at, problem: `is given by ${source}: change it there, and start the peer again` }]);
    }
    await setOption(paths.config, 'crdt', 'trustedPeers', peerIds === 'all' ? ['*'] : peerIds);
  };
}
