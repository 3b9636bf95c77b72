import type { Connector } from '../ipfs/connector.ts';
import type { NodeStates } from '../ipfs/node-state.ts';
import type { Monitor } from '../monitor/monitor.ts';
import { mergeSignals } from '../runtime/abort.ts';
import { jittered, sleep, type Timers } from '../runtime/clock.ts';
import type { Component } from '../runtime/lifecycle.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Random } from '../runtime/random.ts';

export interface NodeLinksInit {
  /** 0: never. */
  intervalMs: number;
}

export interface NodeLinksNeeds {
  connector: Pick<Connector, 'connect'>;
  /** Of a node that can be away. */
  nodeStates?: NodeStates | undefined;
  monitor: Pick<Monitor, 'members' | 'onChange'>;
  timers: Timers;
  random: Random;
  logger: Logger;
}

/** Records come in groups, when a peer meets the others. */
const gatherMs = 1_000;
const jitter = 0.2;

/**
 * Keeps the IPFS node connected with those of the other members: when one is new or has new addresses, when the own one is back, and now and
 * then. A pin names those that share it; who has its content may be somebody else: the peer that it was on before, or the one at
 * which it came in. Where nodes find each other by nothing else (a private network without a DHT) it would never come.
 */
export function nodeLinks({ intervalMs }: NodeLinksInit, needs: NodeLinksNeeds): Component {
  const { connector, nodeStates, monitor, timers, random, logger } = needs;
  const stopping = new AbortController();
  let stopListening = () => {};
  let running = Promise.resolve();
  let known = '';
  let isDue = false;
  let endPause = () => {};

  const addresses = () =>
    monitor
      .members()
      .filter(({ self, health }) => !self && health === 'up')
      .flatMap(({ ipfs }) => (ipfs === undefined || ipfs.addresses.length === 0 ? [] : [ipfs.addresses]));

  function changed(): void {
    if (addresses().join() !== known) due();
  }

  function due(): void {
    isDue = true;
    endPause();
  }

  async function run(): Promise<void> {
    const { signal } = stopping;
    while (!signal.aborted) {
      isDue = false;
      const others = addresses();
      known = others.join();
      for (const ofMember of others) {
        await connector.connect(ofMember, { signal }).catch((error) => logger.debug('no node is reached', { error }));
      }
      if (!isDue) await pause(signal);
      await sleep(timers, gatherMs, signal).catch(() => {});
    }
  }

  async function pause(signal: AbortSignal): Promise<void> {
    using scope = mergeSignals(signal);
    endPause = () => scope.abort(new Error('due'));
    await sleep(timers, jittered(random, intervalMs, jitter), scope.signal).catch(() => {});
  }

  return {
    name: 'IPFS links',
    async start() {
      if (intervalMs === 0) return;
      stopListening = monitor.onChange(({ kind }) => {
        if (kind === 'record' || kind === 'health') changed();
      });
      nodeStates?.onChange(({ name }) => {
        if (name === 'up') due();
      });
      running = run();
    },
    async stop() {
      stopListening();
      stopping.abort(new Error('stopped'));
      await running;
    },
  };
}
