import { countFields, RawClient } from './raw-client.ts';

/*
 * A process of its own: reads the whole pinset through ListPins, counting without decoding, and prints
 * {"pins", "seconds", "firstMs", "bytes", "cpuSeconds"}. The time to the first message is the median of some listings that are left
 * after it.
 *
 *     list-client.ts HOST
 */
const [host = ''] = process.argv.slice(2);
const client = new RawClient(host);
await client.unary('GetPin', new Uint8Array()).catch(() => {}); // Connects.
const firsts: number[] = [];
for (let i = 0; i < 21; i++) firsts.push(await firstMessageMs());
const firstMs = firsts.sort((a, b) => a - b)[10];
const cpuBefore = process.cpuUsage();
const began = performance.now();
let pins = 0;
let bytes = 0;
for await (const message of client.reads('ListPins', new Uint8Array()) as AsyncIterable<Uint8Array>) {
  pins += countFields(message, 1);
  bytes += message.length;
}
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({ pins, seconds, firstMs, bytes, cpuSeconds: (user + system) / 1e6 }));
client.close();

async function firstMessageMs(): Promise<number> {
  const asked = performance.now();
  const call = client.reads('ListPins', new Uint8Array());
  call.on('error', () => {}); // Cancelled below.
  for await (const _ of call) break;
  call.cancel();
  return performance.now() - asked;
}
