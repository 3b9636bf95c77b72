import t from 'tap';
import { MemoryHub } from '../../../src/network/memory/memory-hub.ts';
import { memoryNetwork } from '../../../src/network/memory/memory-network.ts';
import type { Network } from '../../../src/network/network.ts';
import { systemClock, systemTimers } from '../../../src/runtime/clock.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import {
  codeOf,
  eventually,
  everyone,
  forever,
  type NetworkWorld,
  networkSuite,
  startAll,
} from '../../suites/network.suite.ts';

const random = { bytes: (length: number) => new Uint8Array(length), float: () => 0.5 };
const needs = { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics };

/** Networks of one test share a hub. */
function world(init: ConstructorParameters<typeof MemoryHub>[0]): NetworkWorld {
  const hubs = new WeakMap<object, MemoryHub>();
  return {
    create(t, index, policy) {
      const hub = hubs.get(t) ?? new MemoryHub(init, { timers: systemTimers, random });
      hubs.set(t, hub);
      return memoryNetwork({ peerId: `12D3KooWMemory${index}` }, { ...needs, hub, policy });
    },
  };
}

t.test('without delay', (t) => {
  networkSuite(t, world({}));
  t.end();
});

t.test('with delays', (t) => {
  let n = 0;
  networkSuite(t, world({ delayMs: () => n++ % 3 }));
  t.end();
});

t.test('a partition ends connections and keeps peers apart until it is healed', async (t) => {
  const hub = new MemoryHub({}, { timers: systemTimers, random });
  const create = (peerId: string) => memoryNetwork({ peerId }, { ...needs, hub, policy: everyone });
  const [a, b] = [create('a'), create('b')] as [Network, Network];
  await startAll(t, [a, b]);
  a.remember('b', b.addresses());
  t.strictSame(b.connected(), ['a']);
  hub.partition('b', 'a');
  t.strictSame([a.connected(), b.connected()], [[], []]);
  t.equal(await codeOf(a.dial(b.addresses()[0] as string, { signal: forever() })), 'PEER_UNREACHABLE');
  hub.heal('a', 'b');
  t.strictSame([a.connected(), b.connected()], [['b'], ['a']]);
});

t.test('gossip is dropped with the probability asked for', async (t) => {
  let roll = 0;
  const hub = new MemoryHub(
    { dropProbability: 0.5 },
    { timers: systemTimers, random: { ...random, float: () => roll } },
  );
  const create = (peerId: string) => memoryNetwork({ peerId }, { ...needs, hub, policy: everyone });
  const [a, b] = [create('a'), create('b')] as [Network, Network];
  const heard: number[] = [];
  b.gossip.subscribe('records', {
    id: (message) => message,
    receive: (message) => {
      heard.push(...message);
      return 'accept';
    },
  });
  await startAll(t, [a, b]);
  a.remember('b', b.addresses());
  a.gossip.publish('records', Uint8Array.of(1));
  roll = 0.9;
  a.gossip.publish('records', Uint8Array.of(2));
  await eventually('the second is there', () => heard.length > 0);
  t.strictSame(heard, [2]);
});
