import type { MessageShape } from '@bufbuild/protobuf';
import type { PeerService } from '../../../gen/pinfold/peer/v1/service_pb.ts';

type Methods = Pick<(typeof PeerService)['method'], 'hello' | 'getClock' | 'sync' | 'mergeRange'>;

/** The methods that this consensus calls and serves. */
export type CrdtMethod = keyof Methods;

type Requests = { [M in CrdtMethod]: MessageShape<Methods[M]['input']> };
type Responses = { [M in CrdtMethod]: MessageShape<Methods[M]['output']> };

/** What of the peer RPC the consensus needs; `PeerRpc` of the network port is one. */
export interface PeerCalls {
  call<M extends CrdtMethod>(
    peerId: string,
    method: M,
    requests: Iterable<Requests[M]>,
    options: { signal: AbortSignal },
  ): AsyncIterable<Responses[M]>;
}

export type CrdtHandlers = {
  [M in CrdtMethod]: (
    requests: AsyncIterable<Requests[M]>,
    context: { peerId: string; signal: AbortSignal },
  ) => AsyncIterable<Responses[M]>;
};

/** The answer of a unary call. */
export async function only<T>(responses: AsyncIterable<T>): Promise<T> {
  for await (const response of responses) return response;
  throw new Error('a unary call without an answer');
}
