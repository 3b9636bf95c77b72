import type { Connector } from '../src/ipfs/connector.ts';

/** An IPFS node that takes no time, so that what the peer itself takes is seen. */
export const answersAtOnce: Connector = {
  id: async () => ({ peerId: 'stand-in', addresses: [], agent: 'stand-in' }),
  pin: async () => {},
  unpin: async () => {},
  pinned: async () => 'recursive',
  async *list() {},
  connect: async () => {},
  putBlocks: async () => {},
  missingBlocks: async (cids) => [...cids],
  getBlock: async () => undefined,
  resolve: async (path) => ({ cid: path.kind === 'ipfs' ? path.root : new Uint8Array(), rest: [] }),
  protect: () => ({ release() {} }),
  async *collectGarbage() {},
  space: async () => ({ usedBytes: 0, freeBytes: 2 ** 40 }),
  start: async () => {},
  stop: async () => {},
};
