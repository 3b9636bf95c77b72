import { create } from '@bufbuild/protobuf';
import {
  GetPinResponseSchema,
  GetPinStatusResponseSchema,
  type PinService,
  RecoverPinsResponseSchema,
  ResolveResponseSchema,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import type { AddContent } from '../../cluster/adding/add.ts';
import type { ExplainPin } from '../../cluster/explain.ts';
import type { Exporting } from '../../cluster/export/exporting.ts';
import type { ListPins } from '../../cluster/listing.ts';
import type { Pins } from '../../cluster/pins.ts';
import type { Resolving } from '../../cluster/resolving.ts';
import type { ClusterStatus, PinStatus } from '../../cluster/status.ts';
import type { WatchPins } from '../../cluster/watch.ts';
import { formatCid, parseCid } from '../../model/cid.ts';
import { formatPath } from '../../model/content-path.ts';
import { peerWordsPerMessage, pinsPerMessage } from '../constants.ts';
import type { Handlers } from '../handlers.ts';
import { add } from './add.ts';
import type { BulkLoad } from './answers-in-order.ts';
import { msOf, namespaceOf, pinMessage } from './convert.ts';
import { explanationMessage } from './explain.ts';
import { exportContent } from './export.ts';
import { cursorFrom, filterFrom, orderFrom, peersFrom, statusesFrom } from './pin-filter.ts';
import { pinPage } from './pin-pages.ts';
import { pinWrites } from './pin-writes.ts';
import { statusPage } from './status-pages.ts';
import { pinStatusMessage } from './statuses.ts';
import { watchMessage } from './watch.ts';
import { writePins } from './write-pins.ts';

export interface PinServiceNeeds {
  pins: Pins;
  listPins: ListPins;
  status: ClusterStatus;
  explainPin: ExplainPin;
  watchPins: WatchPins;
  resolving: Resolving;
  add: AddContent;
  exporting: Exporting;
}

export function pinService(needs: PinServiceNeeds): Handlers<typeof PinService> {
  const { pins, status } = needs;
  const bulkLoad: BulkLoad = { operations: 0 };
  return {
    ...pinWrites(pins, needs.resolving),

    writePins: (requests, call) => writePins(pins, requests, call, bulkLoad),

    async resolve(request, call) {
      const { cid, rest } = await needs.resolving.resolve(request, call);
      return create(ResolveResponseSchema, { cid: formatCid(cid), path: formatPath(cid, rest) });
    },

    async getPin({ cid, namespace }, call) {
      const pin = pins.get(parseCid(cid), namespaceOf(namespace), call);
      return create(GetPinResponseSchema, { pin: pinMessage(pin) });
    },

    async *listPins(request, call) {
      const query = {
        filter: filterFrom(request.filter),
        order: orderFrom(request.order),
        pageSize: request.pageSize,
        cursor: cursorFrom(request.cursor),
        pieceSize: pinsPerMessage,
      };
      for await (const piece of needs.listPins(query, call)) yield pinPage(piece);
    },

    async getPinStatus({ cid, namespace, peerIds }, call) {
      const query = { cid: parseCid(cid), namespace: namespaceOf(namespace), peerIds: peersFrom(peerIds) };
      const found = await status.pinStatus(query, call);
      return create(GetPinStatusResponseSchema, { status: pinStatusMessage(found) });
    },

    async explainPin({ cid, namespace }, call) {
      return explanationMessage(
        await needs.explainPin({ cid: parseCid(cid), namespace: namespaceOf(namespace) }, call),
      );
    },

    async *listPinStatuses(request, call) {
      const { sinceAfter, sinceBefore } = request;
      const query = {
        filter: filterFrom(request.filter),
        statuses: statusesFrom(request.statuses),
        ...(sinceAfter === undefined ? {} : { sinceAfterMs: msOf(sinceAfter, 'since_after') }),
        ...(sinceBefore === undefined ? {} : { sinceBeforeMs: msOf(sinceBefore, 'since_before') }),
        peerIds: peersFrom(request.peerIds),
        pageSize: request.pageSize,
        cursor: cursorFrom(request.cursor),
      };
      for await (const { statuses, cursor, errors } of status.listStatuses(query, call)) {
        const messages = inMessages(statuses);
        const last = messages.pop() ?? [];
        for (const some of messages) yield statusPage({ statuses: some, cursor: undefined, errors: [] });
        yield statusPage({ statuses: last, cursor, errors });
      }
    },

    async *watchPins(request, call) {
      const query = {
        filter: filterFrom(request.filter),
        resumeToken: cursorFrom(request.resumeToken),
        pinsOnly: request.pinsOnly,
        changesOnly: request.changesOnly,
        statuses: statusesFrom(request.statuses),
        peerIds: peersFrom(request.peerIds),
      };
      for await (const message of needs.watchPins(query, call)) yield watchMessage(message);
    },

    async *recoverPins(request, call) {
      const query = {
        cids: request.cids.map((cid) => parseCid(cid, 'cids')),
        namespace: request.namespace === '' ? undefined : request.namespace,
      };
      for await (const { statuses, errors } of status.recover(query, call)) {
        for (const some of inMessages(statuses)) {
          yield create(RecoverPinsResponseSchema, { statuses: some.map(pinStatusMessage) });
        }
        if (errors.length > 0) yield create(RecoverPinsResponseSchema, { errors });
      }
    },

    add: (requests, call) => add(needs.add, requests, call),

    export: (request, call) => exportContent(needs.exporting, request, call),
  };
}

/** Splits statuses so that no message has many more words of peers than its size allows. */
function inMessages(statuses: readonly PinStatus[]): PinStatus[][] {
  const messages: PinStatus[][] = [];
  let words = peerWordsPerMessage;
  for (const status of statuses) {
    if (words >= peerWordsPerMessage) {
      messages.push([]);
      words = 0;
    }
    messages.at(-1)?.push(status);
    words += status.peers.length;
  }
  return messages;
}
