import type { Test } from 'tap';
import t from 'tap';
import { libp2pNetwork } from '../../../src/network/libp2p/libp2p-network.ts';
import { systemClock, systemTimers } from '../../../src/runtime/clock.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { systemRandom } from '../../../src/runtime/random.ts';
import type { NetworkWorld } from '../../suites/network.suite.ts';
import { networkSuite } from '../../suites/network.suite.ts';

const world: NetworkWorld = {
  create(_t: Test, index, policy) {
    const init = {
      privateKey: new Uint8Array(32).fill(index),
      secret: new Uint8Array(32).fill(7),
      listen: ['/ip4/127.0.0.1/tcp/0'],
    };
    return libp2pNetwork(init, {
      addresses: { load: async () => new Map(), save: async () => {} },
      policy,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom,
      logger: silentLogger,
      metrics: noMetrics,
    });
  },
};

networkSuite(t, world);
