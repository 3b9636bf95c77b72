import {
  GetStatusesRequestSchema,
  ListStatusesRequestSchema,
  type StatusRow,
} from '../../gen/pinfold/peer/v1/service_pb.ts';
import { generatedCodec, type PeerCodecs } from '../network/codecs.ts';
import { Malformed, Reader } from '../pinset/codec/reader.ts';
import { Writer } from '../pinset/codec/writer.ts';

// pinfold.peer.v1.GetStatusesResponse and ListStatusesResponse by hand: a listing of statuses passes each peer's row of each pin through here.
const ROWS = 0x0a;
const CID = 0x0a;
const STATUS = 0x10;
const ATTEMPTS = 0x18;
const SINCE_MS = 0x20;
const ERROR = 0x2a;
const ERROR_CLASS = 0x30;
const RETRY_AT_MS = 0x38;

const none: Uint8Array = new Uint8Array(0);

// Messages are written one at a time, synchronously, so the buffers are shared and keep their size.
const rowsWriter = new Writer(64 * 1024);
const rowWriter = new Writer(2 * 1024);

/** Equal on the wire to the generated code. Reading throws Malformed, also at numbers and wire types that it would take and no peer of ours sends. */
export const statusRowCodecs: Pick<PeerCodecs, 'getStatuses' | 'listStatuses'> = {
  getStatuses: {
    request: generatedCodec(GetStatusesRequestSchema),
    response: {
      encode: ({ rows }) => encodeRows(rows),
      decode: (bytes) => ({ $typeName: 'pinfold.peer.v1.GetStatusesResponse', rows: decodeRows(bytes) }),
    },
  },
  listStatuses: {
    request: generatedCodec(ListStatusesRequestSchema),
    response: {
      encode: ({ rows }) => encodeRows(rows),
      decode: (bytes) => ({ $typeName: 'pinfold.peer.v1.ListStatusesResponse', rows: decodeRows(bytes) }),
    },
  },
};

function encodeRows(rows: readonly StatusRow[]): Uint8Array {
  rowsWriter.at = 0;
  for (const row of rows) {
    writeRow(row);
    rowsWriter.bytesField(ROWS, rowWriter.bytes.subarray(0, rowWriter.at));
  }
  return rowsWriter.take();
}

function writeRow({ cid, status, attempts, sinceMs, error, errorClass, retryAtMs }: StatusRow): void {
  const row = rowWriter;
  row.at = 0;
  if (cid.length > 0) row.bytesField(CID, cid);
  row.varintField(STATUS, status);
  row.varintField(ATTEMPTS, attempts);
  row.varintField(SINCE_MS, Number(sinceMs));
  if (error !== '') row.textField(ERROR, error);
  row.varintField(ERROR_CLASS, errorClass);
  row.varintField(RETRY_AT_MS, Number(retryAtMs));
}

function decodeRows(bytes: Uint8Array): StatusRow[] {
  const rows: StatusRow[] = [];
  const reader = new Reader(bytes);
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === ROWS) rows.push(readRow(reader.message()));
    else skipUnknown(reader, tag, 1);
  }
  return rows;
}

function readRow(reader: Reader): StatusRow {
  let cid = none;
  let status: StatusRow['status'] = 0;
  let attempts = 0;
  let sinceMs = 0;
  let error = '';
  let errorClass: StatusRow['errorClass'] = 0;
  let retryAtMs = 0;
  while (reader.more) {
    const tag = reader.uint32();
    if (tag === CID) cid = reader.view();
    else if (tag === STATUS) status = (reader.uint32() | 0) as StatusRow['status'];
    else if (tag === ATTEMPTS) attempts = reader.uint32();
    else if (tag === SINCE_MS) sinceMs = reader.varint();
    else if (tag === ERROR) error = reader.text();
    else if (tag === ERROR_CLASS) errorClass = (reader.uint32() | 0) as StatusRow['errorClass'];
    else if (tag === RETRY_AT_MS) retryAtMs = reader.varint();
    else skipUnknown(reader, tag, 7);
  }
  return {
    $typeName: 'pinfold.peer.v1.StatusRow',
    ...{ cid, status, attempts, error, errorClass },
    sinceMs: BigInt(sinceMs),
    retryAtMs: BigInt(retryAtMs),
  };
}

/** Passes over fields that are not known: those beyond `lastKnown`. A known one with another wire type is damaged. */
function skipUnknown(reader: Reader, tag: number, lastKnown: number): void {
  if (tag >>> 3 <= lastKnown) throw new Malformed('a field of another type');
  reader.skip(tag);
}
