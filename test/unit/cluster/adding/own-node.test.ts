import t from 'tap';
import { ownNode } from '../../../../src/cluster/adding/own-node.ts';
import { testCid } from '../../../support/crdt-peers.ts';

function world() {
  let protections = 0;
  const held = Promise.withResolvers<void>();
  const connector = {
    missingBlocks: async (cids: readonly Uint8Array[]) => [...cids],
    putBlocks: async () => {},
    protect() {
      protections++;
      return { release: () => protections-- };
    },
  };
  return {
    node: ownNode({ peerId: 'self', connector, held: () => held.promise }),
    protections: () => protections,
    done: held.resolve,
  };
}

t.test('the blocks are kept until the node is done with the pins, whatever is let go', async (t) => {
  const { node, protections, done } = world();
  node.pinned([testCid('a')]);
  node.release();
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(protections(), 1);
  done();
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(protections(), 0);
});

t.test('without pins they are let go at once', async (t) => {
  const { node, protections } = world();
  node.release();
  t.equal(protections(), 0);
});
