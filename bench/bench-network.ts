import { defaultsOf } from '../src/config/option.ts';
import { libp2pNetwork } from '../src/network/libp2p/libp2p-network.ts';
import type { Network } from '../src/network/network.ts';
import { networkOptions } from '../src/network/options.ts';
import type { PeerRpcHandlers } from '../src/network/peer-methods.ts';
import { systemClock as clock, systemTimers as timers } from '../src/runtime/clock.ts';
import { silentLogger as logger } from '../src/runtime/logger.ts';
import { noMetrics as metrics } from '../src/runtime/metrics.ts';
import { systemRandom as random } from '../src/runtime/random.ts';

/** The network of a daemon without the daemon, of a secret that both processes know. Serves ranges, if anything. */
export async function benchNetwork(mergeRange: PeerRpcHandlers['mergeRange']): Promise<Network> {
  const network = libp2pNetwork(
    {
      ...defaultsOf(networkOptions),
      privateKey: random.bytes(32),
      secret: new Uint8Array(32).fill(9),
      listen: ['/ip4/127.0.0.1/tcp/0'],
    },
    {
      addresses: { load: async () => new Map(), save: async () => {} },
      policy: { isMember: () => true, isTrusted: () => true },
      ...{ clock, timers, random, logger, metrics },
    },
  );
  network.rpc.serve({
    mergeRange,
    ...{
      hello: none,
      getClock: none,
      acknowledge: none,
      sync: none,
      listHeaders: none,
      tellFork: none,
      offerBatches: none,
      getStatuses: none,
      listStatuses: none,
      watchStatus: none,
      recover: none,
      putBlocks: none,
      explainWish: none,
      getConnections: none,
      reportUntrusted: none,
      setDraining: none,
      collectGarbage: none,
      getBlocks: none,
      getDigests: none,
      getBuckets: none,
      repairBuckets: none,
    },
  });
  await network.start();
  return network;
}

// biome-ignore lint/correctness/useYield: it has nothing to say
async function* none(): AsyncGenerator<never> {
  throw new Error('not served');
}
