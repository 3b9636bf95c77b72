import { createReadStream } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { AddRequestSchema, AddStartSchema, ContentFormat } from '../gen/pinfold/v1/pin_service_pb.ts';
import { connect } from '../src/cli/client.ts';
import { tuneGarbageCollection } from '../src/runtime/garbage.ts';
import { addOf } from './content.ts';

/*
 * A process of its own: adds content that it makes, or a CAR from the disk, to so many peers, and prints {"bytes", "seconds", "cpuSeconds",
 * "cid"}: from the first message to the answer that it is pinned.
 *
 *     add-client.ts HOST REPLICAS SEED BYTES
 *     add-client.ts HOST REPLICAS car FILE
 */
tuneGarbageCollection();
const [host = '', replicas = '1', seed = '0', of = '0'] = process.argv.slice(2);
const options = { replicationMin: Number(replicas), replicationMax: Number(replicas) };
const isCar = seed === 'car';
let bytes = 0;
let cid = '';
const { pins } = connect(host, undefined);
const cpuBefore = process.cpuUsage();
const began = performance.now();
for await (const { message } of pins.add(requests())) {
  if (message.case === 'root') cid = message.value.pin?.cid ?? '';
}
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({ bytes, seconds, cpuSeconds: (user + system) / 1e6, cid }));
process.exit(0);

async function* requests() {
  if (!isCar) {
    bytes = Number(of);
    yield* addOf(Number(seed), bytes, create(AddStartSchema, { options }));
    return;
  }
  const start = create(AddStartSchema, { options, format: ContentFormat.CAR });
  yield create(AddRequestSchema, { message: { case: 'start', value: start } });
  for await (const value of createReadStream(of, { highWaterMark: 512 * 1024 })) {
    bytes += value.length;
    yield create(AddRequestSchema, { message: { case: 'data', value } });
  }
}
