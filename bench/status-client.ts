import { create, toBinary } from '@bufbuild/protobuf';
import { TrackerStatus } from '../gen/pinfold/v1/pin_pb.ts';
import { ListPinStatusesRequestSchema, ListPinStatusesResponseSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { tuneGarbageCollection } from '../src/runtime/garbage.ts';
import { bytesField, countFields, RawClient } from './raw-client.ts';

/** What it prints. */
export interface StatusesRead {
  /** Of the calls made. */
  pins: number;
  seconds: number;
  /** Of each call, sorted. */
  callMs: number[];
}

/*
 * A process of its own. Pages: asks for pages of 100 pins that failed, one behind the other, and from the beginning again. Else: one listing to
 * its end by that method, counted without decoding.
 *
 *     status-client.ts HOST pages COUNT
 *     status-client.ts HOST ListPinStatuses|ListPins
 */
// It shares the processors with the peers.
tuneGarbageCollection();
const [host = '', what = '', count = '1'] = process.argv.slice(2);
const pageSize = 100;
const client = new RawClient(host);
await client.unary('GetPin', new Uint8Array()).catch(() => {}); // Connects.

const callMs: number[] = [];
const began = performance.now();
const pins = what === 'pages' ? await pages() : await listing(what, new Uint8Array(), () => {});
const seconds = (performance.now() - began) / 1_000;
callMs.sort((a, b) => a - b);
const read: StatusesRead = { pins, seconds, callMs };
console.log(JSON.stringify(read));
client.close();

async function pages(): Promise<number> {
  let pins = 0;
  let cursor: Uint8Array = new Uint8Array();
  for (let i = 0; i < Number(count); i++) {
    const request = create(ListPinStatusesRequestSchema, { statuses: [TrackerStatus.PIN_ERROR], pageSize, cursor });
    pins += await listing('ListPinStatuses', toBinary(ListPinStatusesRequestSchema, request), (last) => {
      cursor = bytesField(last, ListPinStatusesResponseSchema.field.cursor.number);
    });
  }
  return pins;
}

async function listing(method: string, request: Uint8Array, onLast: (message: Uint8Array) => void): Promise<number> {
  const asked = performance.now();
  let pins = 0;
  let last: Uint8Array = new Uint8Array();
  for await (const message of client.reads(method, request) as AsyncIterable<Uint8Array>) {
    pins += countFields(message, 1);
    last = message;
  }
  callMs.push(performance.now() - asked);
  onLast(last);
  return pins;
}
