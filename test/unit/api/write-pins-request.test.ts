import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import t from 'tap';
import { WritePinsRequestSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { decodedForm } from '../../../src/api/decoded-form.ts';
import { readWritePinsRequest } from '../../../src/api/write-pins-request.ts';
import { fc } from '../../support/fast-check.ts';

type Init = MessageInitShape<typeof WritePinsRequestSchema>;

const text = fc.oneof(fc.string({ maxLength: 30 }), fc.string({ unit: 'binary', maxLength: 10 }));
const int32 = fc.oneof(fc.constantFrom(0, -1, 1, 2), fc.integer());
const rarely = <T>(what: fc.Arbitrary<T>) => fc.option(what, { nil: undefined, freq: 6 });
const options = fc.record(
  {
    name: text,
    mode: fc.constantFrom(0, 1, 2),
    replicationMin: int32,
    replicationMax: int32,
    metadata: fc.array(fc.record({ key: text, value: text }), { maxLength: 3 }),
    userAllocations: fc.oneof(fc.constant([]), fc.array(text, { maxLength: 2 })),
    origins: fc.oneof(fc.constant([]), fc.array(text, { maxLength: 2 })),
  },
  { requiredKeys: [] },
);
const condition = fc.constant({ condition: { case: 'ifAbsent' as const, value: true } });
const pin = fc
  .record({ cid: text, namespace: text, options: rarely(options), condition: rarely(condition) })
  .map((value) => ({ operation: { case: 'pin' as const, value } }));
const unpin = fc
  .record({ cid: text, namespace: text })
  .map((value) => ({ operation: { case: 'unpin' as const, value } }));
const batch = fc
  .record({ first: fc.bigInt(0n, 2n ** 60n), operations: fc.array(fc.oneof(pin, pin, unpin), { maxLength: 5 }) })
  .map((value) => ({ message: { case: 'batch' as const, value } }));

const encoded = (init: unknown) => toBinary(WritePinsRequestSchema, create(WritePinsRequestSchema, init as Init));

t.test('a batch is read as the generated code reads it', async (t) => {
  fc.assert(
    fc.property(batch, (init) => {
      const bytes = encoded(init);
      const read = decodedForm(WritePinsRequestSchema, bytes) as ReturnType<
        typeof create<typeof WritePinsRequestSchema>
      >;
      return Buffer.compare(toBinary(WritePinsRequestSchema, read), bytes) === 0;
    }),
  );
  t.pass('equal');
});

t.test('plain pins take the fast way', async (t) => {
  const init = {
    message: {
      case: 'batch',
      value: {
        first: 7n,
        operations: [
          {
            operation: {
              case: 'pin',
              value: { cid: 'bafy', options: { name: 'é', replicationMin: -1, replicationMax: -1 } },
            },
          },
        ],
      },
    },
  } as const;
  const bytes = encoded(init);
  const read = readWritePinsRequest(bytes);
  t.ok(read, 'not left to the generated code');
  const asGenerated = (message: unknown) =>
    JSON.parse(JSON.stringify(message, (_key, value) => (typeof value === 'bigint' ? String(value) : value)));
  t.strictSame(asGenerated(read), asGenerated(fromBinary(WritePinsRequestSchema, bytes)));
});

t.test('any bytes mean the same to both, or are refused by both', async (t) => {
  fc.assert(
    fc.property(batch, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }), (init, flips) => {
      const bytes = Buffer.from(encoded(init));
      for (const [at, value] of flips) if (bytes.length > 0) bytes[at % bytes.length] = value;
      return (
        outcome(() => decodedForm(WritePinsRequestSchema, bytes)) ===
        outcome(() => fromBinary(WritePinsRequestSchema, bytes))
      );
    }),
    { numRuns: 3_000 },
  );
  t.pass('equal');
});

function outcome(read: () => unknown): string {
  try {
    return Buffer.from(toBinary(WritePinsRequestSchema, read() as never)).toString('hex');
  } catch {
    return 'refused';
  }
}
