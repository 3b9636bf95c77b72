import t, { type Test } from 'tap';
import { parseRpcAddress } from '../../src/ipfs/kubo/address.ts';
import { STALL_TIMEOUT_MIN_MS } from '../../src/ipfs/kubo/constants.ts';
import { KuboConnector } from '../../src/ipfs/kubo/kubo-connector.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { type ConnectorTraits, connectorSuite, type TestNode } from '../suites/connector.suite.ts';
import { connectorPathsSuite } from '../suites/connector-paths.suite.ts';
import { withoutKubo } from '../support/kubo.ts';
import { KuboStock } from '../support/kubo-stock.ts';

const needs = { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics };
const stocks = {
  one: new KuboStock({ swarmKey: new Uint8Array(32).fill(1) }, 2),
  other: new KuboStock({ swarmKey: new Uint8Array(32).fill(2) }, 0),
};

async function makeNode(t: Test, { network = 'one' }: { network?: 'one' | 'other' } = {}) {
  const kubo = await stocks[network].take(t);
  const connector = () =>
    new KuboConnector({ address: parseRpcAddress(kubo.api), folder: kubo.folder, drainTimeoutMs: 300 }, needs);
  const node: TestNode = {
    connector: connector(),
    lose: (block) => kubo.lose(block),
    restart: async () => {
      await node.connector.stop();
      await kubo.stop();
      await kubo.start();
      node.connector = connector();
      await node.connector.start();
    },
    vanish: () => kubo.stop('SIGKILL'),
  };
  t.teardown(() => node.connector.stop());
  await node.connector.start();
  return node;
}

const traits: ConnectorTraits = {
  skip: withoutKubo,
  // Kubo speaks of its progress every 500 ms.
  stallMs: STALL_TIMEOUT_MIN_MS,
  progress: 'coarse',
  // It reads the root of any pin as a node of a DAG.
  decodesDirect: true,
  // `repo/gc` tells CIDs alone, and takes a lock that a pin holds as long as it fetches.
  collectsWithoutSizes: true,
  collectsAlone: true,
  // Its datastore, with the pins and its folders.
  roughSpace: true,
  // Its bitswap sends a want again after a minute (RebroadcastDelay).
  losesWants: true,
  resolvesNames: true,
};

connectorSuite(t, makeNode, traits);
connectorPathsSuite(t, makeNode, traits);
