import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type WatchEventSchema,
  type WatchPinsResponse,
  WatchPinsResponseSchema,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import type { WatchEvent, WatchMessage } from '../../cluster/watch.ts';
import { formatCid } from '../../model/cid.ts';
import { pinMessage } from './convert.ts';
import { peerPinStatusMessage } from './statuses.ts';

export function watchMessage({ events, resumeToken, caughtUp }: WatchMessage): WatchPinsResponse {
  return create(WatchPinsResponseSchema, {
    events: events.map(eventMessage),
    caughtUp,
    ...(resumeToken === undefined ? {} : { resumeToken }),
  });
}

function eventMessage(event: WatchEvent): MessageInitShape<typeof WatchEventSchema> {
  switch (event.kind) {
    case 'pinned':
      return { event: { case: 'pinned', value: pinMessage(event.stored) } };
    case 'unpinned':
      return { event: { case: 'unpinned', value: { namespace: event.namespace, cid: formatCid(event.cid) } } };
    case 'status': {
      const { namespace, cid, peer } = event;
      return { event: { case: 'status', value: { namespace, cid: formatCid(cid), peer: peerPinStatusMessage(peer) } } };
    }
    case 'reset':
      return { event: { case: 'reset', value: { peerId: event.peerId } } };
    case 'peer-lost':
      return { event: { case: 'peerLost', value: event.error } };
  }
}
