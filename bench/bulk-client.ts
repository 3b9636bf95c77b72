import { once } from 'node:events';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { WritePinsRequestSchema, WritePinsResponseSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { encodedBatches } from './sample-pins.ts';

/*
 * A process of its own: sends pins through WritePins as fast as they are taken, and prints {"operations", "seconds"}.
 * Everything is encoded before the clock starts, so that the client is not what is measured.
 *
 *     bulk-client.ts HOST FROM COUNT
 */
const [host = '', from = '0', count = '0'] = process.argv.slice(2);
const batches = encodedBatches(Number(from), Number(count), 500);
const start = toBinary(
  WritePinsRequestSchema,
  create(WritePinsRequestSchema, { message: { case: 'start', value: { streamKey: `bench-${from}-${Date.now()}` } } }),
);

const client = new Client(host, credentials.createInsecure());
const identity = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const call = client.makeBidiStreamRequest('/pinfold.v1.PinService/WritePins', identity, (bytes: Buffer) => bytes);

const began = performance.now();
const finished = answered();
await send(start);
for (const batch of batches) await send(batch);
call.end();
const operations = await finished;
console.log(JSON.stringify({ operations, seconds: (performance.now() - began) / 1000 }));
client.close();

async function send(message: Uint8Array): Promise<void> {
  if (!call.write(message)) await once(call, 'drain');
}

async function answered(): Promise<number> {
  let last = 0;
  for await (const bytes of call as AsyncIterable<Buffer>) {
    const { message } = fromBinary(WritePinsResponseSchema, bytes);
    if (message.case !== 'decided') continue;
    if (message.value.failures.length > 0) throw new Error(`refused: ${message.value.failures[0]?.message}`);
    last = Number(message.value.last);
  }
  return last;
}
