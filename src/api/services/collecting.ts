import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { CollectGarbageResponseSchema, type PeerService } from '../../../gen/pinfold/v1/peer_service_pb.ts';
import type { CollectEvent, Collecting } from '../../cluster/collecting.ts';
import { formatCid } from '../../model/cid.ts';
import type { Handlers } from '../handlers.ts';

export function collectMethods(collecting: Collecting): Pick<Handlers<typeof PeerService>, 'collectGarbage'> {
  return {
    async *collectGarbage(query, call) {
      for await (const event of collecting.collect(query, call))
        yield create(CollectGarbageResponseSchema, { event: eventMessage(event) });
    },
  };
}

function eventMessage(
  event: CollectEvent,
): NonNullable<MessageInitShape<typeof CollectGarbageResponseSchema>['event']> {
  const { blocks, bytes } = event;
  const removed = { blocks: BigInt(blocks), bytes: BigInt(bytes) };
  if (event.kind === 'summary') {
    const { nodes, failed } = event;
    return { case: 'summary', value: { nodes, failed, ...removed } };
  }
  const { peerId, peerName, ended, error } = event;
  const value = { peerId, peerName, ended, ...removed, cids: event.cids.map(formatCid) };
  return { case: 'node', value: error === undefined ? value : { ...value, error } };
}
