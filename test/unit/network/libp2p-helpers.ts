import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { identify } from '@libp2p/identify';
import type { Libp2p, Stream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { Test } from 'tap';
import type { AddressStore } from '../../../src/network/address-book.ts';
import { RPC_PROTOCOL } from '../../../src/network/constants.ts';
import type { Libp2pNetworkInit, Libp2pNetworkNeeds } from '../../../src/network/libp2p/libp2p-network.ts';
import { libp2pNetwork } from '../../../src/network/libp2p/libp2p-network.ts';
import { swarmPrologue } from '../../../src/network/libp2p/private-network.ts';
import type { Network } from '../../../src/network/network.ts';
import type { Timers } from '../../../src/runtime/clock.ts';
import { systemClock, systemTimers } from '../../../src/runtime/clock.ts';
import type { Logger } from '../../../src/runtime/logger.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import type { MetricsRegister } from '../../../src/runtime/metrics.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { systemRandom } from '../../../src/runtime/random.ts';
import { everyone } from '../../suites/network.suite.ts';

export const secret = new Uint8Array(32).fill(7);

const noAddresses: AddressStore = { load: async () => new Map(), save: async () => {} };

/** A network on a free port of loopback whose key follows from `index`. */
export function createNetwork(
  index: number,
  { init, needs }: { init?: Partial<Libp2pNetworkInit>; needs?: Partial<Libp2pNetworkNeeds> } = {},
): Network {
  return libp2pNetwork(
    { privateKey: new Uint8Array(32).fill(index), secret, listen: ['/ip4/127.0.0.1/tcp/0'], ...init },
    {
      addresses: noAddresses,
      policy: everyone,
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom,
      logger: silentLogger,
      metrics: noMetrics,
      ...needs,
    },
  );
}

/** A bare libp2p node that has the secret, to say what no Pinfold says. */
export async function rawNode(
  t: Test,
  to: Network,
): Promise<{ node: Libp2p; open(protocol?: string): Promise<Stream> }> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise({ prologueBytes: swarmPrologue(secret) })],
    streamMuxers: [yamux()],
    services: { identify: identify() },
  });
  t.teardown(() => node.stop());
  const address = multiaddr(to.addresses()[0] as string);
  return {
    node,
    open: async (protocol = RPC_PROTOCOL) => {
      const stream = await node.dialProtocol(address, protocol);
      // A reset is what most of these streams end with.
      stream.addEventListener('close', () => {});
      return stream;
    },
  };
}

/** Counts what counters count, by name and label values. */
export function countingMetrics(): { register: MetricsRegister; count(...nameAndLabels: string[]): number } {
  const counts = new Map<string, number>();
  const register: MetricsRegister = {
    ...noMetrics,
    counter: ({ name }) => ({
      add(amount, labels) {
        const key = [name, ...Object.values(labels ?? {})].join(' ');
        counts.set(key, (counts.get(key) ?? 0) + amount);
      },
    }),
  };
  return { register, count: (...nameAndLabels) => counts.get(nameAndLabels.join(' ')) ?? 0 };
}

/** System timers, but that one kind of wait, known by its length, is over at once. */
export function hurrying(...delaysMs: number[]): Timers {
  return { after: (delayMs, fn) => systemTimers.after(delaysMs.includes(delayMs) ? 50 : delayMs, fn) };
}

export function warnings(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const logger: Logger = {
    ...silentLogger,
    warn: (message, data) => lines.push(`${message} ${JSON.stringify(data)}`),
    child: () => logger,
  };
  return { logger, lines };
}
