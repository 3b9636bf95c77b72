import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import t from 'tap';
import { type BatchRun, BatchRunSchema, type RunBatch } from '../../../gen/pinfold/peer/v1/batch_pb.ts';
import { type LoggedBatch, openRun, packRun } from '../../../src/consensus/crdt/codec/batch-run.ts';
import { decodeHeader } from '../../../src/consensus/crdt/codec/header.ts';
import { decodeSignedBatch, verifyBatch } from '../../../src/consensus/crdt/codec/signed-batch.ts';
import { InvalidBatch } from '../../../src/consensus/crdt/core/invalid-batch.ts';
import type { Batch } from '../../../src/consensus/crdt/core/types.ts';
import { CraftedAuthor } from '../../support/crafted-author.ts';
import { fc } from '../../support/fast-check.ts';

function logged(bytes: Uint8Array, wantAck = false): LoggedBatch {
  const parts = decodeSignedBatch(bytes);
  return { parts: { ...parts, wantAck }, head: decodeHeader(parts.header) };
}

/** As it arrives. */
const sent = (run: BatchRun): BatchRun => fromBinary(BatchRunSchema, toBinary(BatchRunSchema, run));

function opened(run: BatchRun): Batch[] {
  const batches = [...openRun(run)];
  for (const batch of batches) verifyBatch(batch);
  return batches;
}

/** Three batches of one author, of which two follow. */
function three(): BatchRun {
  const author = new CraftedAuthor('x');
  return packRun([{}, {}, {}].map((operation) => logged(author.batch([operation]))));
}

t.test('every batch comes out byte for byte, and verified', async (t) => {
  const step = fc.record({
    who: fc.integer({ min: 0, max: 1 }),
    operations: fc.integer({ min: 1, max: 3 }),
    name: fc.oneof(fc.constant('short'), fc.constant('long '.repeat(3_000))),
    inc: fc.array(fc.record({ rid: fc.uint8Array({ minLength: 16, maxLength: 16 }), sequence: fc.nat() }), {
      maxLength: 2,
    }),
    wantAck: fc.boolean(),
    /** It is in the log, and does not go now. */
    isLeftOut: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
      const authors = [new CraftedAuthor('x'), new CraftedAuthor('y')] as const;
      const batches = steps
        .map(({ who, operations, name, inc, wantAck, isLeftOut }) => ({
          batch: logged(
            (authors[who] as CraftedAuthor).batch(
              Array.from({ length: operations }, () => ({ name })),
              { inc },
            ),
            wantAck,
          ),
          isLeftOut,
        }))
        .flatMap(({ batch, isLeftOut }) => (isLeftOut ? [] : batch));
      const got = opened(sent(packRun(batches)));
      t.equal(got.length, batches.length);
      for (const [i, { header, signature, ops, wantAck }] of got.entries()) {
        const { parts } = batches[i] as LoggedBatch;
        for (const [a, b] of [
          [header, parts.header],
          [signature, parts.signature],
          [ops, parts.ops],
        ] as const) {
          if (Buffer.compare(a, b) !== 0) t.fail('other bytes');
        }
        t.equal(wantAck, parts.wantAck);
      }
    }),
    { numRuns: 60 },
  );
});

t.test('what follows goes without its header, unless it is long or there is a gap', async (t) => {
  const author = new CraftedAuthor('x');
  const [first, second, long, fourth, fifth] = [{}, {}, { name: 'n'.repeat(9_000) }, {}, {}].map((operation) =>
    logged(author.batch([operation])),
  ) as [LoggedBatch, LoggedBatch, LoggedBatch, LoggedBatch, LoggedBatch];
  const withHeader = (batches: LoggedBatch[]) => packRun(batches).batches.map(({ header }) => header.length > 0);
  t.same(withHeader([first, second, long, fourth, fifth]), [true, false, true, false, false]);
  t.same(withHeader([first, fourth, fifth]), [true, true, false]);
  const other = logged(new CraftedAuthor('y').batch([{}]));
  t.same(withHeader([other, second]), [true, true]);
});

t.test('a run that says anything else than its author signed is invalid', async (t) => {
  const changes: Record<string, (batches: RunBatch[]) => void> = {
    'no header before': (batches) => batches.shift(),
    'one is left out': (batches) => batches.splice(1, 1),
    'no operations': ([, batch]) => Object.assign(batch as RunBatch, { operations: 0 }),
    'more operations': ([, batch]) => Object.assign(batch as RunBatch, { operations: 2 }),
    'very many operations': ([, batch]) => Object.assign(batch as RunBatch, { operations: 0xffff_ffff }),
    'nothing inside': ([, batch]) => Object.assign(batch as RunBatch, { ops: new Uint8Array(0) }),
    'other content': ([, batch]) => ((batch as RunBatch).ops[40] = 0),
    'another inc': ([, batch]) => (batch as RunBatch).inc.push(entry(16, 3n)),
    'a rid that is none': ([, batch]) => (batch as RunBatch).inc.push(entry(17, 3n)),
    'a number that is none': ([, batch]) => (batch as RunBatch).inc.push(entry(16, 2n ** 64n - 1n)),
    'very many entries': ([, batch]) =>
      Object.assign(batch as RunBatch, { inc: Array.from({ length: 5_000 }, () => entry(16, 1n)) }),
    'no signature': ([, batch]) => Object.assign(batch as RunBatch, { signature: new Uint8Array(0) }),
  };
  for (const [what, change] of Object.entries(changes)) {
    const run = sent(three());
    change(run.batches);
    t.throws(() => opened(sent(run)), InvalidBatch, what);
  }
  t.equal(opened(sent(three())).length, 3);
});

function entry(ridBytes: number, sequence: bigint) {
  const { inc } = create(BatchRunSchema, { batches: [{ inc: [{ rid: new Uint8Array(ridBytes), sequence }] }] })
    .batches[0] as RunBatch;
  return inc[0] as RunBatch['inc'][number];
}
