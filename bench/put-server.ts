import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { type WritePinsRequest, WritePinsResponseSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { parseCid } from '../src/model/cid.ts';
import { pinKey } from '../src/model/pin-key.ts';
import { lmdbStorage } from '../src/storage/lmdb/lmdb-storage.ts';
import { servePins } from './pin-server.ts';

/*
 * The limit of the benchmark `write`: the same gRPC server with a handler that does one put a pin (key of 45 bytes, value of 60) through
 * the same storage, which is faster than lmdb's own `put`; sorted, 5,000 a flush, two flushes in flight, no more often than Pinfold; and
 * answers after the flush.
 *
 *     put-server.ts FOLDER        prints its port
 */
const [folder = ''] = process.argv.slice(2);
await mkdir(folder, { recursive: true });
const storage = await lmdbStorage({ path: join(folder, 'data.mdb'), tables: [{ name: 'pins', writeOnly: true }] });
const value = new Uint8Array(60).fill(7);
const operationsPerFlushMax = 5_000;
const flushesInFlightMax = 2;

async function* writePins(requests: AsyncIterable<WritePinsRequest>) {
  const inFlight: { flushed: Promise<void>; last: number }[] = [];
  let keys: Uint8Array[] = [];
  let last = 0;
  for await (const { message } of requests) {
    if (message.case !== 'batch') continue;
    for (const { operation } of message.value.operations) {
      if (operation.case === 'pin') keys.push(pinKey(parseCid(operation.value.cid), 'default'));
    }
    if (keys.length < operationsPerFlushMax) continue;
    last += keys.length;
    inFlight.push({ flushed: put(keys), last });
    keys = [];
    if (inFlight.length < flushesInFlightMax) continue;
    const oldest = inFlight.shift();
    await oldest?.flushed;
    yield decided(oldest?.last ?? 0);
  }
  await put(keys);
  yield decided(last + keys.length);
}

function put(keys: Uint8Array[]): Promise<void> {
  keys.sort(Buffer.compare);
  return storage.transaction((tx) => {
    for (const key of keys) tx.put('pins', key, value);
  }).flushed;
}

function decided(last: number) {
  return create(WritePinsResponseSchema, { message: { case: 'decided', value: { first: 1n, last: BigInt(last) } } });
}

console.log(await servePins({ writePins }));
