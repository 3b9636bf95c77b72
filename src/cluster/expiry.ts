import type { Consensus } from '../consensus/consensus.ts';
import type { Member } from '../monitor/monitor.ts';
import type { Pinset, StoredPin } from '../pinset/pinset.ts';
import { type Clock, sleep, type Timers } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { rendezvousOrder } from './rendezvous.ts';

/** The first in order acts so long after the time, each further one as much later: `docs/protocol.md` section 5.3. */
export interface ExpiryInit {
  delayMs: number;
  intervalMs: number;
  pinsPerRoundMax: number;
}

export interface ExpiryNeeds {
  pinset: Pick<Pinset, 'expired'>;
  consensus: Pick<Consensus, 'commit' | 'refusal' | 'capabilities'>;
  /** This peer and the others. */
  members: () => readonly Member[];
  clock: Clock;
  timers: Timers;
  logger: Logger;
}

/** Ends pins whose time has come: each by one peer, chosen by rendezvous among those that are up. */
export function expiry(init: ExpiryInit, needs: ExpiryNeeds) {
  const stopping = new AbortController();
  let running = Promise.resolve();

  async function run(): Promise<void> {
    for (;;) {
      await sleep(needs.timers, init.intervalMs, stopping.signal);
      await round().catch((error) => {
        if (!stopping.signal.aborted) needs.logger.warn('expired pins could not be removed; trying again', { error });
      });
    }
  }

  async function round(): Promise<void> {
    if (needs.consensus.refusal() !== undefined) return;
    const nowMs = needs.clock.nowMs();
    const candidates = needs.pinset.expired(nowMs - init.delayMs, init.pinsPerRoundMax);
    const mine = candidates.filter((pin) => isDue(pin, nowMs));
    if (mine.length === 0) return;
    const requests = mine.map(({ key, etag }) => ({ ops: [{ kind: 'expire' as const, key, basis: etag }] }));
    await needs.consensus.commit(requests, { signal: stopping.signal });
    needs.logger.debug('expired pins removed', { pins: mine.length });
  }

  function isDue({ key, pin }: StoredPin, nowMs: number): boolean {
    const writers = needs.members().filter((member) => !member.follower && member.health === 'up');
    const order = rendezvousOrder(
      key,
      writers.map(({ peerId }) => peerId),
    );
    const self = writers.find((member) => member.self);
    if (self === undefined) return false;
    return nowMs >= pin.expiresMs + init.delayMs * (1 + order.indexOf(self.peerId));
  }

  return {
    name: 'expiry',
    async start() {
      running = run().catch((error) => {
        if (!stopping.signal.aborted) needs.logger.error('expired pins are no longer removed', { error });
      });
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      await running;
    },
  };
}
