import { create } from '@bufbuild/protobuf';
import { type ListPinsResponse, ListPinsResponseSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import type { ListingPiece } from '../../cluster/listing.ts';
import { formatCid } from '../../model/cid.ts';
import { encodedBy } from '../../model/encoded-form.ts';
import { Writer } from '../../pinset/codec/writer.ts';
import type { StoredPin } from '../../pinset/pinset.ts';
import { lazyField, messageField, timeField } from './by-hand.ts';
import { pinMessage } from './convert.ts';

// pinfold.v1.ListPinsResponse by hand: a listing is a million pins. Tags: field number x 8 + wire type.
const PINS = 0x0a;
const CURSOR = 0x12;
const NAMESPACE = 0x0a;
const CID = 0x12;
const OPTIONS = 0x1a;
const ALLOCATION = 0x22;
const CREATED = 0x2a;
const ETAG = 0x32;
const UPDATED_FROM = 0x3a;
const NAME = 0x0a;
const MODE = 0x10;
const REPLICATION_MIN = 0x18;
const REPLICATION_MAX = 0x20;
const USER_ALLOCATION = 0x2a;
const METADATA = 0x32;
const ORIGIN = 0x3a;
const EXPIRES = 0x42;
const PAIR_KEY = 0x0a;
const PAIR_VALUE = 0x12;
/** As in the proto. */
const modes = { recursive: 1, direct: 2 } as const;

// Pages are written one at a time, synchronously, so the buffers are shared and keep their size.
const page = new Writer(256 * 1024);
const pinWriter = new Writer();
const optionsWriter = new Writer();
const small = new Writer(1024);

const lazyPins = lazyField<ListPinsResponse, 'pins'>('pins');

/** The message for a piece of a listing; its fields are made only for who looks at them. */
export function pinPage({ pins, cursor = new Uint8Array() }: ListingPiece): ListPinsResponse {
  const message = create(ListPinsResponseSchema, { cursor });
  lazyPins(message, () => pins.map(pinMessage));
  return encodedBy(message, () => encodePage(pins, cursor));
}

function encodePage(pins: readonly StoredPin[], cursor: Uint8Array): Uint8Array {
  page.at = 0;
  for (const pin of pins) {
    writePin(pin);
    messageField(page, PINS, pinWriter);
  }
  if (cursor.length > 0) page.bytesField(CURSOR, cursor);
  return page.take();
}

function writePin({ pin, etag }: StoredPin): void {
  pinWriter.at = 0;
  pinWriter.textField(NAMESPACE, pin.namespace);
  pinWriter.textField(CID, formatCid(pin.cid));
  writeOptions(pin);
  messageField(pinWriter, OPTIONS, optionsWriter);
  for (const peerId of pin.allocations) pinWriter.textField(ALLOCATION, peerId);
  timeField(pinWriter, CREATED, pin.createdMs);
  pinWriter.bytesField(ETAG, etag);
  if (pin.updatedFrom !== undefined) pinWriter.textField(UPDATED_FROM, formatCid(pin.updatedFrom));
}

function writeOptions(pin: StoredPin['pin']): void {
  optionsWriter.at = 0;
  if (pin.name !== '') optionsWriter.textField(NAME, pin.name);
  optionsWriter.varintField(MODE, modes[pin.mode]);
  putInt32(REPLICATION_MIN, pin.replicationMin);
  putInt32(REPLICATION_MAX, pin.replicationMax);
  for (const peerId of pin.userAllocations) optionsWriter.textField(USER_ALLOCATION, peerId);
  for (const [key, value] of pin.metadata) {
    small.at = 0;
    if (key !== '') small.textField(PAIR_KEY, key);
    if (value !== '') small.textField(PAIR_VALUE, value);
    messageField(optionsWriter, METADATA, small);
  }
  for (const origin of pin.origins) optionsWriter.textField(ORIGIN, origin);
  if (pin.expiresMs !== 0) timeField(optionsWriter, EXPIRES, pin.expiresMs);
}

/** Negative numbers are written as 64 bits of two's complement. */
function putInt32(tag: number, n: number): void {
  if (n >= 0) {
    optionsWriter.varintField(tag, n);
    return;
  }
  optionsWriter.ensure(11);
  const { bytes } = optionsWriter;
  bytes[optionsWriter.at++] = tag;
  for (let shift = 0; shift < 28; shift += 7) bytes[optionsWriter.at++] = ((n >>> shift) & 0x7f) | 0x80;
  bytes[optionsWriter.at++] = ((n >> 28) & 0x7f) | 0x80;
  for (let i = 0; i < 4; i++) bytes[optionsWriter.at++] = 0xff;
  bytes[optionsWriter.at++] = 1;
}
