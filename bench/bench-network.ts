import { defaultsOf } from '../src/config/option.ts';
import { libp2pNetwork } from '../src/network/libp2p/libp2p-network.ts';
import type { Network } from '../src/network/network.ts';
import { networkOptions } from '../src/network/options.ts';
import { type PeerRpcHandlers, peerMethods } from '../src/network/peer-methods.ts';
import { systemClock as clock, systemTimers as timers } from '../src/runtime/clock.ts';
import { tuneGarbageCollection } from '../src/runtime/garbage.ts';
import { silentLogger as logger } from '../src/runtime/logger.ts';
import { noMetrics as metrics } from '../src/runtime/metrics.ts';
import { systemRandom as random } from '../src/runtime/random.ts';

tuneGarbageCollection();

/** The network of a daemon without the daemon, of a secret that both processes know. Serves these calls and no others. */
export async function benchNetwork(served: Partial<PeerRpcHandlers>): Promise<Network> {
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
  const nothing = Object.fromEntries(Object.keys(peerMethods).map((method) => [method, none]));
  network.rpc.serve({ ...(nothing as unknown as PeerRpcHandlers), ...served });
  await network.start();
  return network;
}

// biome-ignore lint/correctness/useYield: it has nothing to say
async function* none(): AsyncGenerator<never> {
  throw new Error('not served');
}
