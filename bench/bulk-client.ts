import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { WritePinsRequestSchema, WritePinsResponseSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { ackFrom, isLess } from '../src/cli/ack-flag.ts';
import { RawClient, send } from './raw-client.ts';
import { encodedBatches } from './sample-pins.ts';

/*
 * A process of its own: sends pins through WritePins as fast as they are taken, and prints
 * {"operations", "seconds", "cpuSeconds", "below"}. Everything is encoded before the clock starts, so that the client is not what is measured.
 *
 *     bulk-client.ts HOST FROM COUNT [LEVEL]
 *
 * LEVEL is that of `--ack`; `below` counts the answers that did not reach it.
 */
const [host = '', from = '0', count = '0', level] = process.argv.slice(2);
const ack = ackFrom(level);
const operationsPerMessage = 500;
const batches = encodedBatches(Number(from), Number(count), operationsPerMessage);
const start = toBinary(
  WritePinsRequestSchema,
  create(WritePinsRequestSchema, {
    message: {
      case: 'start',
      value: { streamKey: `bench-${from}-${Date.now()}`, ...(ack === undefined ? {} : { ack }) },
    },
  }),
);

let below = 0;
const client = new RawClient(host);
const call = client.both('WritePins');
const cpuBefore = process.cpuUsage();
const began = performance.now();
const finished = answered();
await send(call, start);
for (const batch of batches) await send(call, batch);
call.end();
const operations = await finished;
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({ operations, seconds, cpuSeconds: (user + system) / 1e6, below }));
client.close();

async function answered(): Promise<number> {
  let last = 0;
  for await (const bytes of call as AsyncIterable<Uint8Array>) {
    const { message } = fromBinary(WritePinsResponseSchema, bytes);
    if (message.case !== 'decided') continue;
    if (message.value.failures.length > 0) throw new Error(`refused: ${message.value.failures[0]?.message}`);
    if (isLess(message.value.level, ack)) below++;
    last = Number(message.value.last);
  }
  return last;
}
