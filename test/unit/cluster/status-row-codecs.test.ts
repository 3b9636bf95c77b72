import { create, equals, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import t from 'tap';
import {
  GetStatusesResponseSchema,
  ListStatusesResponseSchema,
  StatusRowSchema,
} from '../../../gen/pinfold/peer/v1/service_pb.ts';
import { statusRowCodecs } from '../../../src/cluster/status-row-codecs.ts';
import { Malformed } from '../../../src/pinset/codec/reader.ts';
import { fc } from '../../support/fast-check.ts';

const codec = statusRowCodecs.listStatuses.response;
const time = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })).map(BigInt);
const row = fc
  .record({
    cid: fc.uint8Array({ maxLength: 80 }),
    status: fc.integer({ min: 0, max: 300 }),
    attempts: fc.integer({ min: 0, max: 0xffffffff }),
    sinceMs: time,
    error: fc.string({ unit: 'grapheme', maxLength: 1_024 }),
    errorClass: fc.integer({ min: 0, max: 12 }),
    retryAtMs: time,
  })
  .map((fields) => create(StatusRowSchema, fields as MessageInitShape<typeof StatusRowSchema>));
const message = fc.array(row, { maxLength: 5 }).map((rows) => create(ListStatusesResponseSchema, { rows }));

t.test('status rows by hand are, both ways, what the generated code makes of them', async (t) => {
  fc.assert(
    fc.property(message, (one) => {
      const bytes = toBinary(ListStatusesResponseSchema, one);
      t.equal(Buffer.compare(codec.encode(one), bytes), 0);
      t.ok(equals(ListStatusesResponseSchema, codec.decode(bytes), one));
      const { rows } = one;
      const got = statusRowCodecs.getStatuses.response;
      t.equal(Buffer.compare(got.encode(create(GetStatusesResponseSchema, { rows })), bytes), 0);
      t.equal(got.decode(bytes).rows.length, rows.length);
    }),
  );
});

t.test('other bytes are read as the generated code reads them, or refused', async (t) => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
  let read = 0;
  fc.assert(
    fc.property(message, changes, fc.nat(), (one, changed, cut) => {
      const whole = toBinary(ListStatusesResponseSchema, one);
      for (const [at, byte] of changed) if (whole.length > 0) whole[at % whole.length] = byte;
      const bytes = whole.subarray(0, cut % 3 === 0 ? cut % (whole.length + 1) : whole.length);
      let rows: ReturnType<typeof codec.decode>;
      try {
        rows = codec.decode(bytes);
      } catch (problem) {
        t.ok(problem instanceof Malformed, String(problem));
        return;
      }
      read++;
      // Fields that are not known are dropped: nobody sends them on.
      const expected = fromBinary(ListStatusesResponseSchema, bytes, { readUnknownFields: false });
      t.ok(equals(ListStatusesResponseSchema, rows, expected));
    }),
    { numRuns: 2_000 },
  );
  t.ok(read > 100, `${read} of them were read`);
});
