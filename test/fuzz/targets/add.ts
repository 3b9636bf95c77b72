import { CID } from 'multiformats/cid';
import { adder } from '../../../src/adder/adder.ts';
import { add } from '../../../src/api/services/add.ts';
import { addContent } from '../../../src/cluster/adding/add.ts';
import { ownNode } from '../../../src/cluster/adding/own-node.ts';
import { linksOf } from '../../../src/ipfs/dag/links.ts';
import { IpfsWorld } from '../../../src/ipfs/memory/ipfs-world.ts';
import { type MemoryConnector, memoryConnector } from '../../../src/ipfs/memory/memory-connector.ts';
import { byteString } from '../../../src/model/bytes.ts';
import { checkCid, formatCid } from '../../../src/model/cid.ts';
import { isPinfoldError, PinfoldError } from '../../../src/model/errors.ts';
import { mergeSignals } from '../../../src/runtime/abort.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { anyone } from '../../support/api-peer.ts';
import { keepAlive } from '../keep-alive.ts';
import { type AddMessages, randomAdd } from '../random-add.ts';
import type { Target } from '../target.ts';

export const addTarget: Target = {
  says: 'adds: refused with nothing pinned, or all pinned is there, and in any case nothing is held up',
  async run(random, { signal }) {
    const world = await addWorld(signal);
    const messages = randomAdd(random);
    using scope = mergeSignals(signal);
    const gone = () => scope.abort(new PinfoldError('CANCELLED', 'the caller went away'));
    const failure = await failureOf(add(world.content, sent(messages, gone), anyone(scope.signal)));
    await world.end();
    if (failure === undefined) {
      if (world.pinned.length === 0) throw new Error('nothing is pinned, and no error says why');
      for (const cid of world.pinned) await checkComplete(world.connector, cid, signal);
      return 'taken';
    }
    if (!isPinfoldError(failure)) throw failure;
    if (failure.code === 'INTERNAL') throw failure;
    if (world.pinned.length > 0) throw new Error(`${world.pinned.length} pinned, and yet ${failure.message}`);
    return 'refused';
  },
};

async function* sent({ messages, end }: AddMessages, gone: () => void) {
  for (const message of messages) {
    yield message;
    if (message.message.case === 'data') await new Promise((resolve) => setImmediate(resolve));
  }
  if (end === 'broken') throw new PinfoldError('CANCELLED', 'the stream broke');
  if (end === 'gone') {
    gone();
    await new Promise(() => {});
  }
}

/** One peer, which stores everything itself: the real use case over a node in memory. */
async function addWorld(signal: AbortSignal) {
  const needs = { clock: systemClock, timers: keepAlive };
  const connector = memoryConnector({ peerId: 'node', world: new IpfsWorld(needs) }, needs);
  await connector.start();
  const pinned: Uint8Array[] = [];
  let held = 0;
  const watched = {
    missingBlocks: connector.missingBlocks.bind(connector),
    putBlocks: connector.putBlocks.bind(connector),
    protect() {
      const protection = connector.protect();
      let isHeld = true;
      held++;
      return {
        release() {
          if (isHeld) held--;
          isHeld = false;
          protection.release();
        },
      };
    },
  };
  const content = addContent({
    peerId: 'self',
    adder: adder({ metrics: noMetrics }),
    pins: {
      plan: () => ({ peerIds: ['self'], replicationMin: 1 }),
      async pin({ cid }, { ack }) {
        checkCid(cid);
        pinned.push(cid);
        return { pin: undefined, position: new Uint8Array(), level: ack, acknowledgedBy: [], unseenBy: [] };
      },
    },
    placing: { peers: [] },
    destination: (peerId) => ownNode({ peerId, connector: watched, held: async () => {} }),
    logger: silentLogger,
  });
  return {
    content,
    connector,
    pinned,
    async end() {
      // The protections of what is pinned go in microtasks of their own.
      for (let turn = 0; turn < 20 && held > 0; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (held > 0) throw new Error(`${held} protections are not released`);
      signal.throwIfAborted();
    },
  };
}

async function failureOf(events: AsyncIterable<unknown>): Promise<unknown> {
  try {
    for await (const _ of events);
    return undefined;
  } catch (failure) {
    return failure;
  }
}

async function checkComplete(connector: MemoryConnector, root: Uint8Array, signal: AbortSignal): Promise<void> {
  const pending = [root];
  const seen = new Set<string>();
  for (let cid = pending.pop(); cid !== undefined; cid = pending.pop()) {
    if (seen.has(byteString(cid))) continue;
    seen.add(byteString(cid));
    const bytes = await connector.getBlock(cid, { signal });
    if (bytes === undefined) throw new Error(`${formatCid(cid)} below ${formatCid(root)} is not there`);
    for (const link of linksOf(CID.decode(cid), bytes)) pending.push(link.bytes);
  }
}
