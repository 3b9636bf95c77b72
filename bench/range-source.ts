import { create, toBinary } from '@bufbuild/protobuf';
import { MergeRangeResponseSchema, RangeEndSchema, RangeRowsSchema } from '../gen/pinfold/peer/v1/service_pb.ts';
import { RangeRowWriter } from '../src/consensus/crdt/codec/range-rows.ts';
import { RANGE_MESSAGE_BYTES } from '../src/consensus/crdt/constants.ts';
import { encodedBy } from '../src/model/encoded-form.ts';
import { bucketCount, bucketOf, pinKey } from '../src/model/pin-key.ts';
import { encodePinValue } from '../src/pinset/codec/pin-value.ts';
import { benchNetwork } from './bench-network.ts';
import { sampleCid, samplePin } from './sample-pins.ts';

/*
 * A process of its own: answers MergeRange with rows like those of the benchmark's pins, all encoded before it is ready. Prints its address.
 *
 *     range-source.ts PINS
 */
const pins = Number(process.argv[2] ?? 0);
const numbers = Array.from({ length: pins }, (_, i) => ({ i, key: pinKey(sampleCid(i), 'default') }));
numbers.sort((a, b) => Buffer.compare(a.key, b.key));

interface Piece {
  from: number;
  bytes: Uint8Array;
}

const pieces = encoded();
const network = await benchNetwork({
  async *mergeRange(requests) {
    for await (const { from, to } of requests) {
      for (const piece of pieces) {
        if (piece.from >= from && piece.from < to) {
          yield encodedBy(create(MergeRangeResponseSchema), () => piece.bytes);
        }
      }
      yield create(MergeRangeResponseSchema, { message: { case: 'end', value: create(RangeEndSchema, { to }) } });
    }
  },
});
console.log(network.addresses()[0]);

function encoded(): Piece[] {
  const made: Piece[] = [];
  const writer = new RangeRowWriter();
  let from = 0;
  const finish = (next: number) => {
    const value = create(RangeRowsSchema, { rows: writer.take().rows });
    const message = create(MergeRangeResponseSchema, { message: { case: 'rows', value } });
    made.push({ from, bytes: toBinary(MergeRangeResponseSchema, message) });
    from = next;
  };
  for (const { i, key } of numbers) {
    writer.add(key, [dotOf(i)]);
    if (writer.bytes >= RANGE_MESSAGE_BYTES) finish(bucketOf(key));
  }
  finish(bucketCount);
  return made;
}

function dotOf(i: number) {
  const { name, metadata } = samplePin(i).options;
  const stamp = 1_790_000_000_000 * 1024 + i;
  const value = encodePinValue({
    ...{ name, mode: 'recursive', replicationMin: -1, replicationMax: -1, userAllocations: [], origins: [] },
    ...{ createdMs: 1_790_000_000_000, expiresMs: 0, updatedFrom: undefined, type: 'data' },
    metadata: metadata.map((pair) => [pair.key, pair.value] as const),
  });
  return { replica: 1, sequence: i + 1, stamp, value, placementStamp: stamp, placementReplica: 1, allocations: [] };
}
