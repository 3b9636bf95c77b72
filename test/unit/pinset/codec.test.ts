import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import t from 'tap';
import { FeedRowSchema, PinRowSchema, PinValueSchema } from '../../../gen/pinfold/store/v1/store_pb.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import type { PinFields } from '../../../src/model/pin.ts';
import { decodeFeedRow, feedRow } from '../../../src/pinset/codec/feed-row.ts';
import { peerIdBytes, peerIdText } from '../../../src/pinset/codec/peer-id.ts';
import { decodePinRow, encodePinRow } from '../../../src/pinset/codec/pin-row.ts';
import { checkPinValue, decodePinValue, encodePinValue, IndexedFields } from '../../../src/pinset/codec/pin-value.ts';
import { Malformed } from '../../../src/pinset/codec/reader.ts';
import type { LiveDot } from '../../../src/pinset/pinset.ts';
import { fc } from '../../support/fast-check.ts';

const safe = fc.oneof(
  fc.constantFrom(0, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 35, 2 ** 42, 2 ** 49, 2 ** 53 - 1),
  fc.maxSafeNat(),
);
const uint32 = fc.nat(0xffffffff);
// A lone surrogate has no UTF-8: what is written is the replacement character, as the generated code does.
const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), fc.string({ maxLength: 5 }), fc.constant('\0'));
const bytes = fc.uint8Array({ maxLength: 200 });
const peer = fc.uint8Array({ minLength: 34, maxLength: 38 }).map(peerIdText);

const pinFields: fc.Arbitrary<PinFields> = fc.record({
  name: text,
  mode: fc.constantFrom('recursive', 'direct'),
  replicationMin: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
  replicationMax: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  userAllocations: fc.array(peer, { maxLength: 4 }),
  metadata: fc.array(fc.tuple(text, text), { maxLength: 4 }),
  origins: fc.array(text, { maxLength: 3 }),
  createdMs: safe,
  expiresMs: safe,
  updatedFrom: fc.option(fc.uint8Array({ minLength: 1, maxLength: 40 }), { nil: undefined }),
  type: fc.constant('data'),
});

const dot: fc.Arbitrary<LiveDot> = fc
  .record({
    replica: uint32,
    sequence: safe,
    stamp: fc.integer({ min: 1, max: 2 ** 53 - 1 }),
    value: bytes,
    placementStamp: fc.integer({ min: 1, max: 2 ** 53 - 1 }),
    placementReplica: uint32,
    allocations: fc.array(uint32, { maxLength: 5 }),
    own: fc.boolean(),
  })
  .map(({ own, ...rest }) => (own ? { ...rest, placementStamp: rest.stamp, placementReplica: rest.replica } : rest));

t.test('a pin value: the bytes of the generated code, and back', async () => {
  fc.assert(
    fc.property(pinFields, (fields) => {
      const ours = encodePinValue(fields);
      same(ours, toBinary(PinValueSchema, generatedValue(fields)));
      deepEqual(plain(decodePinValue(ours)), plain(fields));
    }),
    { numRuns: 400 },
  );
});

t.test('a pin row: the bytes of the generated code, and back', async () => {
  fc.assert(
    fc.property(fc.array(dot, { minLength: 1, maxLength: 3 }), (row) => {
      const ours = encodePinRow(row);
      const dots = row.map((d) => {
        const own = d.placementStamp === d.stamp && d.placementReplica === d.replica;
        return {
          ...d,
          sequence: BigInt(d.sequence),
          stamp: BigInt(d.stamp),
          placementStamp: own ? 0n : BigInt(d.placementStamp),
          placementReplica: own ? 0 : d.placementReplica,
          allocations: [...d.allocations],
        };
      });
      same(ours, toBinary(PinRowSchema, create(PinRowSchema, { dots })));
      deepEqual(plain(decodePinRow(ours)), plain(row));
    }),
    { numRuns: 400 },
  );
});

t.test('a feed row: the bytes of the generated code, and back', async () => {
  const change = fc.record({
    pinKey: fc.uint8Array({ minLength: 1, maxLength: 200 }),
    digestChange: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 5 }), fc.boolean(), safe, (changes, everything, timeMs) => {
      feedRow.begin();
      for (const { pinKey, digestChange } of changes) feedRow.bytes().set(digestChange, feedRow.add(pinKey));
      const ours = feedRow.end(everything, timeMs);
      const theirs = create(FeedRowSchema, { changes, everything, timeMs: BigInt(timeMs) });
      same(ours, toBinary(FeedRowSchema, theirs));
      const row = decodeFeedRow(ours);
      deepEqual(
        plain(row),
        plain({
          keys: changes.map(({ pinKey }) => pinKey),
          digestChanges: changes.map(({ digestChange }) => digestChange),
          everything,
          timeMs,
        }),
      );
    }),
    { numRuns: 300 },
  );
});

t.test('fields that are not known are passed over, wherever they stand', async () => {
  const unknown = [
    [0x78, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    [0x7a, 0x02, 1, 2],
    [0x79, 1, 2, 3, 4, 5, 6, 7, 8],
    [0x7d, 1, 2, 3, 4],
  ].map((field) => Uint8Array.from(field));
  fc.assert(
    fc.property(pinFields, fc.constantFrom(...unknown), (fields, field) => {
      const value = encodePinValue(fields);
      deepEqual(plain(decodePinValue(Buffer.concat([field, value, field]))), plain(fields));
      const indexed = new IndexedFields();
      indexed.read(Buffer.concat([field, value]));
      deepEqual([indexed.createdMs, indexed.expiresMs], [fields.createdMs, fields.expiresMs]);
    }),
  );
});

t.test('whatever the bytes are, decoding answers or says that they are malformed', async () => {
  const decoders = [decodePinValue, decodePinRow, decodeFeedRow, (b: Uint8Array) => new IndexedFields().read(b)];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
      for (const decode of decoders) onlyMalformed(() => decode(noise));
    }),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(pinFields, fc.nat(), fc.nat(255), (fields, at, byte) => {
      const value = Uint8Array.from(encodePinValue(fields));
      if (value.length > 0) value[at % value.length] = byte;
      onlyMalformed(() => decodePinValue(value));
      onlyMalformed(() => decodePinValue(value.subarray(0, at % (value.length + 1))));
    }),
    { numRuns: 500 },
  );
});

t.test('two values one behind the other are one, as protobuf has it', async () => {
  fc.assert(
    fc.property(pinFields, pinFields, (first, second) => {
      const both = Buffer.concat([encodePinValue(first), encodePinValue(second)]);
      const theirs = fromBinary(PinValueSchema, both);
      same(encodePinValue(decodePinValue(both)), toBinary(PinValueSchema, theirs));
    }),
    { numRuns: 300 },
  );
});

t.test('a value from outside is checked, limits included', async (t) => {
  const good: PinFields = {
    name: 'a',
    mode: 'recursive',
    replicationMin: -1,
    replicationMax: -1,
    userAllocations: [],
    metadata: [],
    origins: [],
    createdMs: 1,
    expiresMs: 0,
    updatedFrom: undefined,
    type: 'data',
  };
  t.doesNotThrow(() => checkPinValue(encodePinValue(good)));
  const bad: [string, Uint8Array][] = [
    ['empty', new Uint8Array(0)],
    ['too large', new Uint8Array(16 * 1024 + 1)],
    ['name', encodePinValue({ ...good, name: 'x'.repeat(1025) })],
    ['factors', encodePinValue({ ...good, replicationMin: 3, replicationMax: 2 })],
    ['mode', Buffer.concat([encodePinValue(good), Buffer.of(0x10, 7)])],
    ['type', Buffer.concat([encodePinValue(good), Buffer.of(0x58, 1)])],
    ['not UTF-8', Buffer.concat([encodePinValue(good), Buffer.of(0x0a, 1, 0xff)])],
    ['cut short', encodePinValue(good).subarray(0, -1)],
    [
      'twice the same key',
      encodePinValue({
        ...good,
        metadata: [
          ['k', '1'],
          ['k', '2'],
        ],
      }),
    ],
  ];
  for (const [what, value] of bad) {
    t.ok(
      isPinfoldError(
        thrownBy(() => checkPinValue(value)),
        'INVALID_ARGUMENT',
      ),
      what,
    );
  }
  const badCid = encodePinValue({ ...good, updatedFrom: Buffer.of(1, 2, 3) });
  t.ok(
    isPinfoldError(
      thrownBy(() => checkPinValue(badCid)),
      'INVALID_CID',
    ),
  );
});

function generatedValue(fields: PinFields) {
  return create(PinValueSchema, {
    name: fields.name,
    mode: fields.mode === 'direct' ? 1 : 0,
    replicationMin: fields.replicationMin,
    replicationMax: fields.replicationMax,
    userAllocations: fields.userAllocations.map((id) => Uint8Array.from(peerIdBytes(id))),
    metadata: fields.metadata.map(([key, value]) => ({ key, value })),
    origins: [...fields.origins],
    createdMs: BigInt(fields.createdMs),
    expiresMs: BigInt(fields.expiresMs),
    updatedFrom: fields.updatedFrom ?? new Uint8Array(0),
  });
}

/** Comparable whatever kind of byte array. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, plain(inner)]),
  );
}

function deepEqual(actual: unknown, expected: unknown): void {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${a} is not ${e}`);
}

function same(actual: Uint8Array, expected: Uint8Array): void {
  deepEqual(Buffer.from(actual).toString('hex'), Buffer.from(expected).toString('hex'));
}

function onlyMalformed(fn: () => unknown): void {
  const error = thrownBy(fn);
  if (error !== undefined && !(error instanceof Malformed)) throw error;
}

function thrownBy(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return undefined;
}
