import { fromBinary } from '@bufbuild/protobuf';
import type { MetadataEntry, PinMode, PinOptions } from '../../gen/pinfold/v1/pin_pb.ts';
import {
  type WriteOperation,
  WriteOperationSchema,
  type WritePin,
  type WritePinsRequest,
} from '../../gen/pinfold/v1/pin_service_pb.ts';
import { Reader } from '../pinset/codec/reader.ts';

// pinfold.v1.WritePinsRequest by hand: half of what the generated code allocates for a pin of a bulk stream, in a third of its time.
// Tags: field number x 8 + wire type.
const BATCH = 0x12;
const FIRST = 0x08;
const OPERATION = 0x12;
const PIN = 0x0a;
const NAMESPACE = 0x0a;
const CID = 0x12;
const OPTIONS = 0x1a;
const NAME = 0x0a;
const MODE = 0x10;
const REPLICATION_MIN = 0x18;
const REPLICATION_MAX = 0x20;
const METADATA = 0x32;
const PAIR_KEY = 0x0a;
const PAIR_VALUE = 0x12;

const unusual = new Error('not of the usual form');

const none: never[] = [];

/**
 * Reads a batch whose operations are mostly plain pins: CID, name, factors, metadata. An operation of another form is left to the generated
 * code, and a message of another form gives undefined.
 */
export function readWritePinsRequest(bytes: Uint8Array): WritePinsRequest | undefined {
  try {
    const reader = new Reader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    if (reader.varint() !== BATCH) return undefined;
    const value = readBatch(reader.message());
    if (reader.more) return undefined;
    return { $typeName: 'pinfold.v1.WritePinsRequest', message: { case: 'batch', value } };
  } catch {
    // The generated code reads it, or finds out what is wrong with it.
    return undefined;
  }
}

function readBatch(reader: Reader) {
  const operations: WriteOperation[] = [];
  let first = 0;
  while (reader.more) {
    const tag = reader.varint();
    if (tag === OPERATION) operations.push(readOperation(reader.message()));
    else if (tag === FIRST) first = reader.varint();
    else throw unusual;
  }
  return { $typeName: 'pinfold.v1.WriteBatch' as const, first: BigInt(first), operations };
}

function readOperation(reader: Reader): WriteOperation {
  const { bytes, at, end } = reader;
  const value = reader.more && reader.varint() === PIN ? readPin(reader.message()) : undefined;
  if (value === undefined || reader.more) return fromBinary(WriteOperationSchema, bytes.subarray(at, end));
  return { $typeName: 'pinfold.v1.WriteOperation', operation: { case: 'pin', value } };
}

/** Undefined: it has a field of another kind. */
function readPin(reader: Reader): WritePin | undefined {
  let namespace = '';
  let cid = '';
  let options: PinOptions | undefined;
  while (reader.more) {
    const tag = reader.varint();
    if (tag === CID) cid = text(reader);
    else if (tag === NAMESPACE) namespace = text(reader);
    else if (tag === OPTIONS && options === undefined) {
      options = readOptions(reader.message());
      if (options === undefined) return undefined;
    } else return undefined;
  }
  const $typeName = 'pinfold.v1.WritePin';
  return options === undefined ? { $typeName, namespace, cid } : { $typeName, namespace, cid, options };
}

function readOptions(reader: Reader): PinOptions | undefined {
  const options: PinOptions = {
    $typeName: 'pinfold.v1.PinOptions',
    name: '',
    mode: 0,
    replicationMin: 0,
    replicationMax: 0,
    userAllocations: none,
    metadata: none,
    origins: none,
  };
  while (reader.more) {
    const tag = reader.varint();
    if (tag === NAME) options.name = text(reader);
    else if (tag === METADATA) {
      if (options.metadata === none) options.metadata = [];
      options.metadata.push(readPair(reader.message()));
    } else if (tag === MODE) options.mode = int32(reader) as PinMode;
    else if (tag === REPLICATION_MIN) options.replicationMin = int32(reader);
    else if (tag === REPLICATION_MAX) options.replicationMax = int32(reader);
    else return undefined;
  }
  return options;
}

function readPair(reader: Reader): MetadataEntry {
  const pair: MetadataEntry = { $typeName: 'pinfold.v1.MetadataEntry', key: '', value: '' };
  while (reader.more) {
    const tag = reader.varint();
    if (tag === PAIR_KEY) pair.key = text(reader);
    else if (tag === PAIR_VALUE) pair.value = text(reader);
    else throw unusual;
  }
  return pair;
}

/** Mostly ASCII, which needs no check of UTF-8. */
function text(reader: Reader): string {
  const { bytes, at } = reader;
  const length = reader.length();
  const from = reader.at;
  const end = from + length;
  for (let i = from; i < end; i++) {
    if ((bytes[i] as number) < 0x80) continue;
    reader.at = at;
    return reader.text();
  }
  reader.at = end;
  return (bytes as Buffer).toString('latin1', from, end);
}

/** Negative ones have ten bytes. */
function int32(reader: Reader): number {
  let value = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    if (!reader.more) throw unusual;
    const byte = reader.bytes[reader.at++] as number;
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw unusual;
}
