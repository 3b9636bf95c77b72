import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { MergeRangeRequestSchema } from '../gen/pinfold/peer/v1/service_pb.ts';
import { RANGE_BUCKETS_MAX, SHADOW_ROWS_PER_TRANSACTION } from '../src/consensus/crdt/constants.ts';
import { bucketCount } from '../src/model/pin-key.ts';
import { Reader } from '../src/pinset/codec/reader.ts';
import { lmdbStorage } from '../src/storage/lmdb/lmdb-storage.ts';
import { benchNetwork } from './bench-network.ts';

/*
 * A process of its own: the limit of the benchmark `join`. Asks the source for all ranges, one after the other, and puts each row as it
 * came into one table; transactions as large as those of a joining peer, one on its way to the disk while the next is read. Prints
 * {"rows", "rowBytes", "seconds", "cpuSeconds"}.
 *
 *     range-sink.ts ADDRESS FOLDER
 */
const [address = '', folder = ''] = process.argv.slice(2);
await mkdir(folder, { recursive: true });
const storage = await lmdbStorage({ path: join(folder, 'data.mdb'), tables: [{ name: 'pins', writeOnly: true }] });
const network = await benchNetwork({});
const { signal } = new AbortController();
const source = await network.dial(address, { signal });

type Row = { key: Uint8Array; value: Uint8Array };
let waiting: Row[] = [];
let written = Promise.resolve();
let rows = 0;
let rowBytes = 0;
const cpuBefore = process.cpuUsage();
const began = performance.now();
for (let from = 0; from < bucketCount; from += RANGE_BUCKETS_MAX) {
  const request = create(MergeRangeRequestSchema, { from, to: from + RANGE_BUCKETS_MAX });
  for await (const { message } of network.rpc.call(source, 'mergeRange', [request], { signal })) {
    if (message.case === 'rows') read(message.value.rows);
    if (waiting.length >= SHADOW_ROWS_PER_TRANSACTION) await put();
  }
}
await put();
await written;
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({ rows, rowBytes, seconds, cpuSeconds: (user + system) / 1e6 }));
await storage.close();
await network.stop();
process.exit(0);

/** RangeRowList: each row begins with its key, the rest is its dots. */
function read(bytes: Uint8Array): void {
  const reader = new Reader(bytes);
  while (reader.more) {
    reader.varint();
    const row = reader.view();
    const keyEnd = 2 + (row[1] as number);
    waiting.push({ key: row.subarray(2, keyEnd), value: row.subarray(keyEnd) });
  }
}

async function put(): Promise<void> {
  await written;
  const some = waiting;
  waiting = [];
  rows += some.length;
  for (const { key, value } of some) rowBytes += key.length + value.length;
  written = storage.transaction((tx) => {
    for (const { key, value } of some) tx.put('pins', key, value);
  }).flushed;
}
