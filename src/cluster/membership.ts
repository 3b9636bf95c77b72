import type { CallContext } from '../model/call-context.ts';
import { invalidField, PinfoldError } from '../model/errors.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { Network } from '../network/network.ts';
import { type AllocatedNeeds, allocatedTo } from './allocated.ts';

/** Who belongs to the cluster. */
export interface Membership {
  /** Connects with a peer at an address, and remembers it. Its record comes with the first Hello. */
  add(address: string, call: CallContext): Promise<string>;
  /** Errors: PEER_NOT_FOUND; INVALID_ARGUMENT for the answering peer itself. */
  remove(peerId: string, call: CallContext): Promise<Removed>;
}

export interface Removed {
  /** Pins with an allocation to it; they stay as they are. */
  allocatedPins: number;
  morePins: boolean;
  /** It is there, and comes back with its next record unless it is stopped. */
  live: boolean;
}

export interface MembershipNeeds extends AllocatedNeeds {
  peerId: string;
  network: Pick<Network, 'dial' | 'connected'>;
  monitor: Pick<Monitor, 'isMember' | 'forget'>;
}

export function membership(needs: MembershipNeeds): Membership {
  const { network, monitor } = needs;
  return {
    async add(address, { signal }) {
      if (!address.startsWith('/')) throw invalidField('address', 'must be a multiaddr such as /ip4/10.0.0.2/tcp/9096');
      return network.dial(address, { signal });
    },

    async remove(peerId, { signal }) {
      if (peerId === '' || peerId === needs.peerId) {
        throw invalidField('peer_id', 'a peer cannot remove itself: stop it, and remove it at another one');
      }
      if (!monitor.isMember(peerId)) throw notFound(peerId);
      const { pins, more } = await allocatedTo(peerId, needs, signal);
      const live = network.connected().includes(peerId);
      if (!(await monitor.forget(peerId))) throw notFound(peerId);
      return { allocatedPins: pins, morePins: more, live };
    },
  };
}

export function notFound(peerId: string): PinfoldError {
  return new PinfoldError('PEER_NOT_FOUND', `no member has the peer ID ${peerId}; "pinfold peers ls" lists them`);
}
