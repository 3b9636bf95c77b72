import { countFields, RawClient } from './raw-client.ts';

/*
 * A process of its own: reads the whole pinset through ListPins, counting without decoding, and prints
 * {"pins", "seconds", "firstMs", "bytes", "cpuSeconds"}.
 *
 *     list-client.ts HOST
 */
const [host = ''] = process.argv.slice(2);
const client = new RawClient(host);
await client.unary('GetPin', new Uint8Array()).catch(() => {}); // Connects.
const cpuBefore = process.cpuUsage();
const began = performance.now();
let firstMs = 0;
let pins = 0;
let bytes = 0;
for await (const message of client.reads('ListPins', new Uint8Array()) as AsyncIterable<Uint8Array>) {
  if (pins === 0) firstMs = performance.now() - began;
  pins += countFields(message, 1);
  bytes += message.length;
}
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({ pins, seconds, firstMs, bytes, cpuSeconds: (user + system) / 1e6 }));
client.close();
