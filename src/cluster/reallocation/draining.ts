import { create } from '@bufbuild/protobuf';
import { SetDrainingRequestSchema, SetDrainingResponseSchema } from '../../../gen/pinfold/peer/v1/service_pb.ts';
import type { CallContext } from '../../model/call-context.ts';
import { everywhere } from '../../model/pin.ts';
import type { Monitor } from '../../monitor/monitor.ts';
import type { PeerRpc } from '../../network/network.ts';
import type { PeerRpcHandlers } from '../../network/peer-methods.ts';
import type { Pinset } from '../../pinset/pinset.ts';
import { sleep } from '../../runtime/clock.ts';
import { type AllocatedNeeds, allocatedTo } from '../allocated.ts';
import { notFound } from '../membership.ts';
import { answerOf, requestOf } from '../peer-calls.ts';
import { DRAIN_COUNT_PAUSE_MS, DRAIN_COUNT_REST } from './constants.ts';
import { pinPages } from './pages.ts';
import type { Places } from './places.ts';
import { MoveCounts, type PlanStep } from './plan.ts';

/** Emptying a peer before it leaves. All reject with PEER_NOT_FOUND for who is no member. */
export interface Draining {
  plan(peerId: string, call: CallContext): AsyncIterable<PlanStep>;
  /** Yields how many pins are left, until there are none. Rejects when the peer itself cannot be told. */
  drain(peerId: string, call: CallContext): AsyncIterable<number>;
  undrain(peerId: string, call: CallContext): Promise<void>;
}

export interface DrainingNeeds extends AllocatedNeeds {
  peerId: string;
  pinset: Pick<Pinset, 'keys' | 'get' | 'count' | 'snapshot' | 'names'>;
  monitor: Pick<Monitor, 'members' | 'member' | 'metric' | 'isMember' | 'setDraining'>;
  rpc: Pick<PeerRpc, 'call'>;
  places: () => Places;
}

export function draining(needs: DrainingNeeds): Draining {
  const { monitor, pinset, clock, timers } = needs;

  /** A peer's record is its own word: it is asked to say so. */
  async function tell(peerId: string, isDraining: boolean, { signal }: CallContext): Promise<void> {
    if (!monitor.isMember(peerId)) throw notFound(peerId);
    if (peerId === needs.peerId) return monitor.setDraining(isDraining);
    const request = create(SetDrainingRequestSchema, { draining: isDraining });
    await answerOf(needs.rpc, peerId, 'setDraining', request, signal);
  }

  return {
    async *plan(peerId, { signal }) {
      if (!monitor.isMember(peerId)) throw notFound(peerId);
      const places = needs.places().withLeaving(peerId);
      const counts = new MoveCounts(monitor);
      let done = 0;
      for await (const { pins } of pinPages(needs, undefined, signal)) {
        for (const stored of pins) {
          const { pin } = stored;
          counts.allocated(pin.allocations);
          if (pin.replicationMin === everywhere) counts.everywhere();
          if (!pin.allocations.includes(peerId)) continue;
          const desired = places.desired(stored);
          const added = desired.filter((other) => !pin.allocations.includes(other));
          if (desired.length < pin.replicationMin) counts.stuck();
          else counts.moved(peerId, added);
        }
        done += pins.length;
        yield { kind: 'progress', done, of: pinset.count() };
      }
      yield { kind: 'plan', ...counts.plan() };
    },

    async *drain(peerId, call) {
      await tell(peerId, true, call);
      for (;;) {
        const begunMs = clock.monotonicMs();
        // All of them, however long it takes: "none left" is what a peer is switched off upon.
        const { pins } = await allocatedTo(peerId, needs, call.signal, Number.POSITIVE_INFINITY);
        yield pins;
        if (pins === 0) return;
        // A large pinset must not be read all the time.
        const tookMs = clock.monotonicMs() - begunMs;
        await sleep(timers, Math.max(DRAIN_COUNT_PAUSE_MS, DRAIN_COUNT_REST * tookMs), call.signal);
      }
    },

    undrain: (peerId, call) => tell(peerId, false, call),
  };
}

export function drainingHandlers(monitor: Pick<Monitor, 'setDraining'>): Pick<PeerRpcHandlers, 'setDraining'> {
  return {
    async *setDraining(requests) {
      const { draining } = await requestOf(requests);
      await monitor.setDraining(draining);
      yield create(SetDrainingResponseSchema);
    },
  };
}
