import { PinfoldError } from '../../../model/errors.ts';
import type { PeerMethod, PeerRpcResponses } from '../../../network/peer-methods.ts';
import type { PeerCalls } from '../peer-calls.ts';

/** T3: calls by which state comes in. A source that is struck off loses them at its next message. */
export function trustedCalls(rpc: PeerCalls, isTrusted: (peerId: string) => boolean): PeerCalls {
  return {
    async *call<M extends PeerMethod>(...[peerId, ...rest]: Parameters<typeof rpc.call<M>>) {
      if (!isTrusted(peerId)) throw struckOff(peerId);
      for await (const response of rpc.call(peerId, ...rest)) {
        if (!isTrusted(peerId)) throw struckOff(peerId);
        yield response satisfies PeerRpcResponses[M];
      }
    },
  };
}

function struckOff(peerId: string): PinfoldError {
  return new PinfoldError('PERMISSION_DENIED', `${peerId} is not trusted: no state is taken from it`);
}
