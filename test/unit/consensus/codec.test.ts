import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import t from 'tap';
import { BatchHeaderSchema, OperationsSchema, SignedBatchSchema } from '../../../gen/pinfold/peer/v1/batch_pb.ts';
import { RangeRowListSchema } from '../../../gen/pinfold/peer/v1/service_pb.ts';
import { ReplicaSchema } from '../../../gen/pinfold/store/v1/store_pb.ts';
import { decodeHeader, encodeHeader } from '../../../src/consensus/crdt/codec/header.ts';
import { checkedOperations, decodeOperations } from '../../../src/consensus/crdt/codec/operations.ts';
import { RangeRowWriter, readRangeRows } from '../../../src/consensus/crdt/codec/range-rows.ts';
import {
  decodeSignedBatch,
  encodeSignedBatch,
  openBatch,
  verifyBatch,
} from '../../../src/consensus/crdt/codec/signed-batch.ts';
import { InvalidBatch } from '../../../src/consensus/crdt/core/invalid-batch.ts';
import { OperationWriter } from '../../../src/consensus/crdt/core/operation-writer.ts';
import { decodePosition, encodePosition } from '../../../src/consensus/crdt/core/position.ts';
import { decodeReplicaRow, encodeReplicaRow } from '../../../src/consensus/crdt/state/replica-row.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { Malformed } from '../../../src/pinset/codec/reader.ts';
import { testKey } from '../../support/crdt-peers.ts';
import { fc } from '../../support/fast-check.ts';

// The hand-written codecs write what the generated code would, byte for byte, and read it back; on any other bytes they throw
// what their callers expect and nothing else.

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const sequence = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }));
const u = (array: Uint8Array) => Uint8Array.from(array);

t.test('header', async (t) => {
  const header = fc.record({
    level: fc.constant(1),
    author: bytes(38),
    incarnation: bytes(8),
    first: sequence,
    last: sequence,
    prev: fc.oneof(bytes(0), bytes(32)),
    inc: fc.array(fc.record({ rid: bytes(16), sequence }), { maxLength: 5 }),
    opsHash: bytes(32),
    opsBytes: fc.integer({ min: 1, max: 1e6 }),
  });
  fc.assert(
    fc.property(header, (one) => {
      const written = encodeHeader(one);
      const message = create(BatchHeaderSchema, {
        ...one,
        incarnation: Buffer.from(one.incarnation).readBigUInt64BE(),
        first: BigInt(one.first),
        last: BigInt(one.last),
        inc: one.inc.map(({ rid, sequence: n }) => ({ rid, sequence: BigInt(n) })),
        opsBytes: BigInt(one.opsBytes),
      });
      t.same(u(written), u(toBinary(BatchHeaderSchema, message)));
      const before = u(written);
      const read = decodeHeader(written);
      t.same(JSON.stringify({ ...read, inc: read.inc.length }), JSON.stringify({ ...read, inc: one.inc.length }));
      t.same(u(read.incarnation), u(one.incarnation));
      t.equal(read.last, one.last);
      t.same(u(written), before, 'reading changes nothing');
    }),
    { numRuns: 100 },
  );
});

const rids = [1, 2, 3].map((n) => new Uint8Array(16).fill(n));
const peers = [1, 2, 3].map((n) => new Uint8Array(38).fill(n));
const operation = fc.record({
  kind: fc.integer({ min: 1, max: 3 }),
  key: fc.integer({ min: 0, max: 50 }).map((n) => testKey(n)),
  sees: fc.array(fc.tuple(fc.nat({ max: 2 }), sequence), { maxLength: 3 }).map((dots) => dots.flat()),
  stamp: sequence,
  value: fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined }),
  allocations: fc.uniqueArray(fc.nat({ max: 2 }), { maxLength: 3 }),
  idempotency: fc.option(bytes(16), { nil: undefined }),
});

t.test('operations', async (t) => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 8 }), (operations) => {
      const writer = new OperationWriter({ rid: (n) => rids[n] as Uint8Array, peer: (n) => peers[n] as Uint8Array });
      for (const one of operations) writer.operation(one);
      const stream = new Uint8Array(16).fill(9);
      for (let i = 0; i < operations.length; i++) writer.run(stream, i + 1, i, 1);
      const written = writer.take();
      t.ok(written.length <= writer.bytes + 8);
      const message = fromBinary(OperationsSchema, written);
      t.same(u(toBinary(OperationsSchema, message)), u(written), 'as the generated code writes it');
      t.equal(message.streamRuns.length, operations.length > 0 ? 1 : 0);
      const read = decodeOperations(written);
      for (const [i, one] of operations.entries()) {
        const [generated, mine] = [message.operations[i], read.operations[i]];
        t.equal(generated?.kind, one.kind);
        t.same(u(mine?.key as Uint8Array), u(one.key));
        t.equal(mine?.stamp, one.stamp);
        t.same(u(mine?.value as Uint8Array), u(one.value ?? new Uint8Array(0)));
        const seen = mine?.sees.map((n, at) => (at % 2 === 0 ? (read.rids[n]?.[0] as number) - 1 : n));
        t.same(seen, one.sees);
        t.same(
          mine?.allocations.map((n) => (read.peers[n]?.[0] as number) - 1),
          one.allocations,
        );
        t.same(mine?.idempotency === undefined, one.idempotency === undefined);
      }
    }),
    { numRuns: 100 },
  );
});

t.test('signed batch, replica row, range rows, position', async (t) => {
  fc.assert(
    fc.property(bytes(90), bytes(64), fc.uint8Array({ maxLength: 200 }), (header, signature, ops) => {
      const written = encodeSignedBatch({ header, signature, ops });
      t.same(u(written), u(toBinary(SignedBatchSchema, create(SignedBatchSchema, { header, signature, ops }))));
      t.same(u(decodeSignedBatch(written).ops), u(ops));
    }),
  );
  fc.assert(
    fc.property(
      bytes(16),
      bytes(38),
      bytes(8),
      sequence,
      bytes(32),
      sequence,
      fc.string(),
      (rid, peerId, incarnation, clock, hash, floor, frozen) => {
        const row = { rid, peerId, incarnation, clock, hash, floor, frozen: frozen.toWellFormed() };
        const written = encodeReplicaRow(row);
        const message = fromBinary(ReplicaSchema, written);
        t.equal(message.incarnation, Buffer.from(incarnation).readBigUInt64BE());
        t.equal(Number(message.clock), clock);
        t.equal(decodeReplicaRow(written).frozen, row.frozen);
        t.same(u(decodeReplicaRow(written).incarnation), u(incarnation));
      },
    ),
  );
  const dot = fc.record({
    replica: fc.nat({ max: 300 }),
    sequence,
    stamp: sequence,
    value: fc.uint8Array({ maxLength: 50 }),
    placementStamp: sequence,
    placementReplica: fc.nat({ max: 300 }),
    allocations: fc.array(fc.nat({ max: 300 }), { maxLength: 4 }),
  });
  fc.assert(
    fc.property(fc.array(fc.array(dot, { minLength: 1, maxLength: 1 }), { maxLength: 5 }), (rows) => {
      const writer = new RangeRowWriter();
      for (const [i, row] of rows.entries()) writer.add(testKey(i), row);
      const taken = writer.take();
      const message = fromBinary(RangeRowListSchema, taken.rows);
      t.same(u(toBinary(RangeRowListSchema, message)), u(taken.rows), 'as the generated code writes it');
      const read = readRangeRows(taken.rows, taken.rids, taken.peers);
      t.same(
        JSON.stringify(read.map(({ row }) => row.map((one) => ({ ...one, value: [...one.value] })))),
        JSON.stringify(rows.map((row) => row.map((one) => ({ ...one, value: [...one.value] })))),
      );
    }),
  );
  const entries = [
    { rid: rids[0] as Uint8Array, sequence: 5 },
    { rid: rids[1] as Uint8Array, sequence: 2 ** 40 },
  ];
  t.same(
    decodePosition(encodePosition(entries)).map(({ sequence: n }) => n),
    [5, 2 ** 40],
  );
});

t.test('bytes from outside: any of them, and real ones flipped or cut', async (t) => {
  const writer = new OperationWriter({ rid: (n) => rids[n] as Uint8Array, peer: (n) => peers[n] as Uint8Array });
  const value = new Uint8Array(20);
  const key = testKey('x');
  for (let i = 0; i < 3; i++)
    writer.operation({ kind: 1, key, sees: [0, 1], stamp: 9, value, allocations: [1], idempotency: undefined });
  const ops = writer.take();
  const header = encodeHeader({
    level: 1,
    author: new Uint8Array(38),
    incarnation: new Uint8Array(8),
    first: 1,
    last: 3,
    prev: new Uint8Array(0),
    inc: [],
    opsHash: new Uint8Array(32),
    opsBytes: ops.length,
  });
  const whole = encodeSignedBatch({ header, signature: new Uint8Array(64), ops });
  const mangled = fc
    .tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }), fc.nat({ max: whole.length }))
    .map(([at, to, cut]) => {
      const copy = Uint8Array.from(whole);
      copy[at] = to;
      return copy.subarray(0, cut < 20 ? whole.length : cut);
    });
  const throwsOnly = (what: () => unknown, isRight: (error: unknown) => boolean) => {
    try {
      what();
    } catch (error) {
      if (!isRight(error)) throw error;
    }
  };
  const isInvalid = (error: unknown) => error instanceof InvalidBatch;
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mangled), (input) => {
      throwsOnly(() => {
        const batch = openBatch(decodeSignedBatch(input));
        checkedOperations(batch);
        verifyBatch(batch);
      }, isInvalid);
      throwsOnly(() => decodeHeader(input), isInvalid);
      throwsOnly(() => checkedOperations({ ops: input, head: { first: 1, last: 3 } } as never), isInvalid);
      throwsOnly(
        () => readRangeRows(input, [], []),
        (error) => error instanceof Malformed,
      );
      throwsOnly(
        () => decodePosition(input),
        (error) => isPinfoldError(error, 'INVALID_TOKEN'),
      );
      throwsOnly(
        () => decodeReplicaRow(input),
        (error) => isPinfoldError(error, 'DATA_CORRUPT'),
      );
    }),
    { numRuns: 3_000 },
  );
  t.pass('nothing untyped was thrown');
});
