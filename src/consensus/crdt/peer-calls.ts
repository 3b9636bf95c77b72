import type { PeerRpc } from '../../network/network.ts';
import type { PeerRpcHandlers } from '../../network/peer-methods.ts';

/** What of the peer RPC the consensus uses. */
export type PeerCalls = Pick<PeerRpc, 'call'>;

/** The methods that it serves. */
export type CrdtHandlers = Pick<
  PeerRpcHandlers,
  | 'hello'
  | 'getClock'
  | 'acknowledge'
  | 'sync'
  | 'mergeRange'
  | 'listHeaders'
  | 'tellFork'
  | 'offerBatches'
  | 'reportUntrusted'
  | keyof RepairHandlers
>;

/** Those for comparing and repairing (section 8). */
export type RepairHandlers = Pick<PeerRpcHandlers, 'getDigests' | 'getBuckets' | 'repairBuckets'>;

/** The answer of a unary call. */
export async function only<T>(responses: AsyncIterable<T>): Promise<T> {
  for await (const response of responses) return response;
  throw new Error('a unary call without an answer');
}
