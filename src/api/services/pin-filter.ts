import type { TrackerStatus as TrackerStatusMessage } from '../../../gen/pinfold/v1/pin_pb.ts';
import {
  type PinFilter as PinFilterMessage,
  PinOrder as PinOrderMessage,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { parseCid } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import { checkPeerId } from '../../model/peer-id.ts';
import { statusOfNumber, type TrackerStatus } from '../../model/status.ts';
import { checkNamespace } from '../../model/validate-pin.ts';
import type { PinFilter, PinOrder } from '../../pinset/pinset.ts';
import { filterItemsMax } from '../constants.ts';
import { msOf } from './convert.ts';

export function filterFrom(message: PinFilterMessage | undefined): PinFilter {
  const filter: PinFilter = {};
  if (message === undefined) return filter;
  for (const list of ['namespaces', 'cids', 'metadata'] as const) {
    if (message[list].length > filterItemsMax) throw invalidField(`filter.${list}`, `at most ${filterItemsMax} items`);
  }
  message.namespaces.forEach(checkNamespace);
  if (message.namespaces.length > 0) filter.namespaces = message.namespaces;
  if (message.cids.length > 0) filter.cids = message.cids.map((cid) => parseCid(cid, 'filter.cids'));
  if (message.name.case === 'nameEquals') filter.nameEquals = message.name.value;
  if (message.name.case === 'namePrefix') filter.namePrefix = message.name.value;
  if (message.metadata.length > 0) filter.metadata = message.metadata.map(({ key, value }) => [key, value] as const);
  if (message.createdAfter) filter.createdAfterMs = msOf(message.createdAfter, 'filter.created_after');
  if (message.createdBefore) filter.createdBeforeMs = msOf(message.createdBefore, 'filter.created_before');
  return filter;
}

export function orderFrom(message: PinOrderMessage): PinOrder {
  switch (message) {
    case PinOrderMessage.UNSPECIFIED:
    case PinOrderMessage.KEY:
      return 'key';
    case PinOrderMessage.NAME:
      return 'name';
    case PinOrderMessage.CREATED:
      return 'created';
    case PinOrderMessage.CREATED_DESCENDING:
      return 'created-descending';
    default:
      throw invalidField('order', `${message} is not an order that this version knows`);
  }
}

/** Throws INVALID_ARGUMENT for a number that is no status. */
export function statusesFrom(messages: readonly TrackerStatusMessage[]): TrackerStatus[] {
  if (messages.length > filterItemsMax) throw invalidField('statuses', `at most ${filterItemsMax} items`);
  return messages.map((message) => {
    const status = statusOfNumber(message);
    if (status === undefined) throw invalidField('statuses', `${message} is not a status that this version knows`);
    return status;
  });
}

export function peersFrom(peerIds: readonly string[]): readonly string[] {
  if (peerIds.length > filterItemsMax) throw invalidField('peer_ids', `at most ${filterItemsMax} items`);
  for (const peerId of peerIds) checkPeerId(peerId, 'peer_ids');
  return peerIds;
}

export const cursorFrom = (bytes: Uint8Array): Uint8Array | undefined => (bytes.length === 0 ? undefined : bytes);
