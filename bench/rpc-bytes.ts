import { toBinary } from '@bufbuild/protobuf';
import { HelloRequestSchema, HelloResponseSchema } from '../gen/pinfold/peer/v1/service_pb.ts';
import type { PeerRpc } from '../src/network/network.ts';

/** Counts Hellos of these peers and the bytes of their messages, until it is stopped. */
export function peerRpcBytes(rpcs: readonly PeerRpc[]): { stop(): { calls: number; bytes: number } } {
  const counted = { calls: 0, bytes: 0 };
  const undo = rpcs.map((rpc) => counting(rpc, counted));
  return {
    stop() {
      for (const each of undo) each();
      return counted;
    },
  };
}

function counting(rpc: PeerRpc, counted: { calls: number; bytes: number }): () => void {
  const { call } = rpc;
  rpc.call = async function* (...args: Parameters<PeerRpc['call']>) {
    const [, method, requests] = args;
    if (method !== 'hello') {
      yield* call.apply(rpc, args);
      return;
    }
    counted.calls++;
    for (const request of requests as Iterable<never>) counted.bytes += toBinary(HelloRequestSchema, request).length;
    for await (const response of call.apply(rpc, args)) {
      counted.bytes += toBinary(HelloResponseSchema, response as never).length;
      yield response;
    }
  } as unknown as PeerRpc['call'];
  return () => {
    rpc.call = call;
  };
}
