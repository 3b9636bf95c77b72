import { create } from '@bufbuild/protobuf';
import { type ListPinStatusesResponse, ListPinStatusesResponseSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import type { PeerPinStatus } from '../../cluster/claim-status.ts';
import type { PeerError } from '../../cluster/peer-statuses.ts';
import type { PinStatus, StatusPiece } from '../../cluster/status.ts';
import { formatCid } from '../../model/cid.ts';
import { encodedBy } from '../../model/encoded-form.ts';
import { errorClassNumber, statusNumbers } from '../../model/status.ts';
import { Writer } from '../../pinset/codec/writer.ts';
import { lazyField, messageField, timeField } from './by-hand.ts';
import { pinStatusMessage } from './statuses.ts';

// pinfold.v1.ListPinStatusesResponse by hand: a listing is the word of each peer on a million pins. Tags: field number x 8 + wire type.
const STATUSES = 0x0a;
const CURSOR = 0x12;
const ERRORS = 0x1a;
const NAMESPACE = 0x0a;
const CID = 0x12;
const NAME = 0x1a;
const ALLOCATION = 0x22;
const CREATED = 0x2a;
const PEERS = 0x32;
const PEER_ID = 0x0a;
const PEER_NAME = 0x12;
const STATUS = 0x18;
const SINCE = 0x22;
const ATTEMPTS = 0x28;
const ERROR_CLASS = 0x30;
const ERROR = 0x3a;
const RETRY_AT = 0x42;
const REASON = 0x1a;
const MESSAGE = 0x22;

// Pages are written one at a time, synchronously, so the buffers are shared and keep their size.
const page = new Writer(256 * 1024);
const statusWriter = new Writer();
const small = new Writer(2 * 1024);

const lazyStatuses = lazyField<ListPinStatusesResponse, 'statuses'>('statuses');

/** The message for a piece of a listing; its statuses are made only for who looks at them. */
export function statusPage({ statuses, cursor = new Uint8Array(), errors }: StatusPiece): ListPinStatusesResponse {
  const message = create(ListPinStatusesResponseSchema, { cursor, errors });
  lazyStatuses(message, () => statuses.map(pinStatusMessage));
  return encodedBy(message, () => encodePage(statuses, cursor, errors));
}

function encodePage(statuses: readonly PinStatus[], cursor: Uint8Array, errors: readonly PeerError[]): Uint8Array {
  page.at = 0;
  for (const status of statuses) {
    writeStatus(status);
    messageField(page, STATUSES, statusWriter);
  }
  if (cursor.length > 0) page.bytesField(CURSOR, cursor);
  for (const error of errors) {
    writeError(error);
    messageField(page, ERRORS, small);
  }
  return page.take();
}

function writeStatus({ namespace, cid, name, allocations, createdMs, peers }: PinStatus): void {
  statusWriter.at = 0;
  putText(statusWriter, NAMESPACE, namespace);
  statusWriter.textField(CID, formatCid(cid));
  putText(statusWriter, NAME, name);
  for (const peerId of allocations) statusWriter.textField(ALLOCATION, peerId);
  if (createdMs !== 0) timeField(statusWriter, CREATED, createdMs);
  for (const peer of peers) {
    writePeer(peer);
    messageField(statusWriter, PEERS, small);
  }
}

function writePeer(peer: PeerPinStatus): void {
  small.at = 0;
  small.textField(PEER_ID, peer.peerId);
  putText(small, PEER_NAME, peer.peerName);
  small.varintField(STATUS, statusNumbers[peer.status]);
  if (peer.sinceMs !== 0) timeField(small, SINCE, peer.sinceMs);
  small.varintField(ATTEMPTS, peer.attempts);
  small.varintField(ERROR_CLASS, errorClassNumber(peer.errorClass));
  putText(small, ERROR, peer.error);
  if (peer.retryAtMs !== 0) timeField(small, RETRY_AT, peer.retryAtMs);
}

function writeError({ peerId, peerName, reason, message }: PeerError): void {
  small.at = 0;
  small.textField(PEER_ID, peerId);
  putText(small, PEER_NAME, peerName);
  small.textField(REASON, reason);
  putText(small, MESSAGE, message);
}

function putText(into: Writer, tag: number, text: string): void {
  if (text !== '') into.textField(tag, text);
}
