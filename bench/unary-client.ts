import { create, toBinary } from '@bufbuild/protobuf';
import { PinRequestSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { RawClient } from './raw-client.ts';
import { samplePin } from './sample-pins.ts';

/*
 * A process of its own: pins one at a time from some callers at once, and prints {"operations", "seconds", "cpuSeconds"}.
 *
 *     unary-client.ts HOST FROM COUNT CALLERS
 */
const [host = '', from = '0', count = '0', callers = '64'] = process.argv.slice(2);
const requests = Array.from({ length: Number(count) }, (_, i) =>
  toBinary(PinRequestSchema, create(PinRequestSchema, samplePin(Number(from) + i))),
);
const client = new RawClient(host);
let next = 0;
const cpuBefore = process.cpuUsage();
const began = performance.now();
await Promise.all(Array.from({ length: Number(callers) }, caller));
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({ operations: requests.length, seconds, cpuSeconds: (user + system) / 1e6 }));
client.close();

async function caller(): Promise<void> {
  for (let request = requests[next++]; request !== undefined; request = requests[next++]) {
    await client.unary('Pin', request);
  }
}
