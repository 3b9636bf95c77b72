import { invalidField } from '../model/errors.ts';
import type { PeerRpc } from '../network/network.ts';
import type { PeerMethod, PeerRpcRequests, PeerRpcResponses } from '../network/peer-methods.ts';
import { callUnary } from '../network/rpc/client.ts';
import { raceSignal } from '../runtime/abort.ts';

/** A peer's answer to a unary call. Rejects with a PinfoldError, or at once with the signal's reason. */
export async function answerOf<M extends PeerMethod>(
  rpc: Pick<PeerRpc, 'call'>,
  peerId: string,
  method: M,
  request: PeerRpcRequests[M],
  signal: AbortSignal,
): Promise<PeerRpcResponses[M]> {
  return await raceSignal(callUnary(rpc, peerId, method, request, { signal }), signal);
}

/** What a handler is asked that takes one request. */
export async function requestOf<T>(requests: AsyncIterable<T>): Promise<T> {
  for await (const request of requests) return request;
  throw invalidField('request', 'is missing');
}
