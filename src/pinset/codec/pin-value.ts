import { checkCid } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import { type PinFields, type PinMode, pinLimits } from '../../model/pin.ts';
import { checkPinFields } from '../../model/validate-pin.ts';
import { peerIdBytes, peerIdText } from './peer-id.ts';
import { Malformed, Reader } from './reader.ts';
import { Writer } from './writer.ts';

// pinfold.store.v1.PinValue by hand: the generated code takes 20 times as long, and every write and read passes here.
// Tags: field number x 8 + wire type.
const NAME = 0x0a;
const MODE = 0x10;
const REPLICATION_MIN = 0x18;
const REPLICATION_MAX = 0x20;
const USER_ALLOCATION = 0x2a;
const METADATA = 0x32;
const ORIGIN = 0x3a;
const CREATED_MS = 0x40;
const EXPIRES_MS = 0x48;
const UPDATED_FROM = 0x52;
const TYPE = 0x58;
const PAIR_KEY = 0x0a;
const PAIR_VALUE = 0x12;

const modes: readonly PinMode[] = ['recursive', 'direct'];
/** Bytes of a peer ID: a multihash of a key, or of its hash. */
const peerIdBytesMax = 64;

const writer = new Writer();
const pairWriter = new Writer(1024);

/** To pinfold.store.v1.PinValue. Throws INVALID_ARGUMENT for a user allocation that is no peer ID. */
export function encodePinValue(fields: PinFields): Uint8Array {
  writer.at = 0;
  if (fields.name !== '') writer.textField(NAME, fields.name);
  if (fields.mode === 'direct') writer.varintField(MODE, 1);
  writer.varintField(REPLICATION_MIN, zigzag(fields.replicationMin));
  writer.varintField(REPLICATION_MAX, zigzag(fields.replicationMax));
  for (const peer of fields.userAllocations) writer.bytesField(USER_ALLOCATION, peerIdBytes(peer));
  for (const [key, value] of fields.metadata) writePair(key, value);
  for (const origin of fields.origins) writer.textField(ORIGIN, origin);
  writer.varintField(CREATED_MS, fields.createdMs);
  writer.varintField(EXPIRES_MS, fields.expiresMs);
  if (fields.updatedFrom !== undefined) writer.bytesField(UPDATED_FROM, fields.updatedFrom);
  return writer.take();
}

function writePair(key: string, value: string): void {
  pairWriter.at = 0;
  if (key !== '') pairWriter.textField(PAIR_KEY, key);
  if (value !== '') pairWriter.textField(PAIR_VALUE, value);
  writer.bytesField(METADATA, pairWriter.bytes.subarray(0, pairWriter.at));
}

function zigzag(n: number): number {
  return ((n << 1) ^ (n >> 31)) >>> 0;
}

/** Throws Malformed. Fields that are not known are passed over. */
export function decodePinValue(bytes: Uint8Array): PinFields {
  const reader = new Reader(bytes);
  const userAllocations: string[] = [];
  const metadata: [string, string][] = [];
  const origins: string[] = [];
  const fields: PinFields = {
    name: '',
    mode: 'recursive',
    replicationMin: 0,
    replicationMax: 0,
    userAllocations,
    metadata,
    origins,
    createdMs: 0,
    expiresMs: 0,
    updatedFrom: undefined,
    type: 'data',
  };
  while (reader.more) {
    const tag = reader.varint();
    if (tag === NAME) fields.name = reader.text();
    else if (tag === MODE) fields.mode = readMode(reader);
    else if (tag === REPLICATION_MIN) fields.replicationMin = reader.sint32();
    else if (tag === REPLICATION_MAX) fields.replicationMax = reader.sint32();
    else if (tag === USER_ALLOCATION) userAllocations.push(readPeerId(reader));
    else if (tag === METADATA) metadata.push(readPair(reader.message()));
    else if (tag === ORIGIN) origins.push(reader.text());
    else if (tag === CREATED_MS) fields.createdMs = reader.varint();
    else if (tag === EXPIRES_MS) fields.expiresMs = reader.varint();
    else if (tag === UPDATED_FROM) fields.updatedFrom = reader.view();
    else if (tag === TYPE) readType(reader);
    else reader.skip(tag);
  }
  return fields;
}

function readMode(reader: Reader): PinMode {
  const mode = modes[reader.varint()];
  if (mode === undefined) throw new Malformed('a mode that is not known');
  return mode;
}

function readType(reader: Reader): void {
  if (reader.varint() !== 0) throw new Malformed('a type that is not known');
}

function readPeerId(reader: Reader): string {
  const bytes = reader.view();
  if (bytes.length < 2 || bytes.length > peerIdBytesMax) throw new Malformed('a peer ID of a wrong length');
  return peerIdText(bytes);
}

function readPair(reader: Reader): [string, string] {
  const pair: [string, string] = ['', ''];
  while (reader.more) {
    const tag = reader.varint();
    if (tag === PAIR_KEY) pair[0] = reader.text();
    else if (tag === PAIR_VALUE) pair[1] = reader.text();
    else reader.skip(tag);
  }
  return pair;
}

/** Checks a value that came from outside, limits included. Throws INVALID_ARGUMENT or INVALID_CID naming the field. */
export function checkPinValue(bytes: Uint8Array): void {
  if (bytes.length > pinLimits.valueBytesMax) {
    throw invalidField('value', `${bytes.length} bytes; at most ${pinLimits.valueBytesMax} are allowed`);
  }
  const fields = decodeFromOutside(bytes);
  checkPinFields(fields);
  if (fields.updatedFrom !== undefined) checkCid(fields.updatedFrom, 'updated_from');
}

function decodeFromOutside(bytes: Uint8Array): PinFields {
  try {
    return decodePinValue(bytes);
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw invalidField('value', `not a pin (${cause.message})`);
  }
}

/** What the indexes and filters need of a value: no text is decoded. Made once and filled again and again. */
export class IndexedFields {
  bytes: Uint8Array = new Uint8Array(0);
  nameAt = 0;
  nameEnd = 0;
  createdMs = 0;
  expiresMs = 0;
  /** Positions in `bytes`, four a pair: key from, key end, value from, value end. */
  readonly metadata: number[] = [];

  /** Throws Malformed. */
  read(value: Uint8Array): void {
    this.bytes = value;
    this.nameAt = this.nameEnd = this.createdMs = this.expiresMs = 0;
    this.metadata.length = 0;
    const reader = new Reader(value);
    while (reader.more) {
      const tag = reader.varint();
      if (tag === NAME) {
        const length = reader.length();
        this.nameAt = reader.at;
        this.nameEnd = reader.at += length;
      } else if (tag === CREATED_MS) this.createdMs = reader.varint();
      else if (tag === EXPIRES_MS) this.expiresMs = reader.varint();
      else if (tag === METADATA) this.#readPair(reader.message());
      else reader.skip(tag);
    }
  }

  #readPair(reader: Reader): void {
    const at = this.metadata.length;
    this.metadata.push(reader.at, reader.at, reader.at, reader.at);
    while (reader.more) {
      const tag = reader.varint();
      if (tag === PAIR_KEY) this.#mark(reader, at);
      else if (tag === PAIR_VALUE) this.#mark(reader, at + 2);
      else reader.skip(tag);
    }
  }

  #mark(reader: Reader, at: number): void {
    const length = reader.length();
    this.metadata[at] = reader.at;
    this.metadata[at + 1] = reader.at += length;
  }
}
