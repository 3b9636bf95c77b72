import { create, toBinary } from '@bufbuild/protobuf';
import t from 'tap';
import { StatusValueSchema } from '../../../gen/pinfold/store/v1/store_pb.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { errorClasses } from '../../../src/model/status.ts';
import { retryDelayMs } from '../../../src/tracker/backoff.ts';
import { Concurrency } from '../../../src/tracker/concurrency.ts';
import { FairQueue } from '../../../src/tracker/fair-queue.ts';
import { Fingerprints } from '../../../src/tracker/fingerprints.ts';
import { FLOWS, flowOf } from '../../../src/tracker/flow.ts';
import { decodeStatusRow, encodeStatusRow } from '../../../src/tracker/status-codec.ts';
import { rowStatuses, type StatusRow } from '../../../src/tracker/status-row.ts';
import { decide, pinnedRow, type Wanted } from '../../../src/tracker/wish.ts';
import { cid } from '../../suites/pinset-world.ts';
import { fc } from '../../support/fast-check.ts';

const helds = ['none', 'recursive', 'direct'] as const;

const rows: fc.Arbitrary<StatusRow> = fc.record({
  status: fc.constantFrom(...rowStatuses),
  sinceMs: fc.nat({ max: 2 ** 48 }),
  attempts: fc.nat({ max: 2 ** 31 }),
  errorClass: fc.constantFrom(undefined, ...errorClasses),
  error: fc.string({ unit: 'grapheme', maxLength: 60 }),
  retryAtMs: fc.nat({ max: 2 ** 48 }),
  held: fc.constantFrom(...helds),
  flow: fc.nat({ max: FLOWS - 1 }),
});

t.test('status rows are the bytes that the generated code makes', async (t) => {
  fc.assert(
    fc.property(rows, (row) => {
      const bytes = encodeStatusRow(row);
      const generated = toBinary(
        StatusValueSchema,
        create(StatusValueSchema, {
          status: rowStatuses.indexOf(row.status) + 1,
          sinceMs: BigInt(row.sinceMs),
          attempts: row.attempts,
          errorClass: row.errorClass === undefined ? 0 : errorClasses.indexOf(row.errorClass) + 1,
          error: row.error,
          retryAtMs: BigInt(row.retryAtMs),
          held: helds.indexOf(row.held),
          flow: row.flow,
        }),
      );
      t.strictSame(Buffer.from(bytes), Buffer.from(generated));
      t.strictSame(decodeStatusRow(bytes), { ...row });
    }),
    { numRuns: 200 },
  );
  t.ok(encodeStatusRow(pinnedRow('recursive', 1_800_000_000_000)).length <= 11, 'the budget of a pinned row');
});

t.test('damaged status rows are a typed error', async (t) => {
  let refused = 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        decodeStatusRow(bytes);
      } catch (error) {
        if (!isPinfoldError(error, 'DATA_CORRUPT')) throw error;
        refused++;
      }
    }),
    { numRuns: 500 },
  );
  t.ok(refused > 0);
});

t.test('retries come ever more rarely, with jitter, up to the longest time', async (t) => {
  const options = { retryBaseMs: 1000, retryMaxMs: 60_000 };
  const random = (float: number) => ({ float: () => float, bytes: () => new Uint8Array() });
  t.equal(retryDelayMs(1, options, random(0.5)), 1000);
  t.equal(retryDelayMs(1, options, random(0)), 800);
  t.equal(retryDelayMs(4, options, random(0.5)), 8000);
  t.equal(retryDelayMs(1000, options, random(0.5)), 60_000);
});

t.test('concurrency falls when pins become slow, not below its floor, and comes back', async (t) => {
  const concurrency = new Concurrency(10);
  let nowMs = 0;
  const round = (latencyMs: number, count: number) => {
    for (let i = 0; i < count; i++) {
      nowMs += latencyMs;
      concurrency.succeeded(latencyMs, nowMs);
    }
  };
  round(100, 200);
  t.equal(concurrency.limit, 10);
  round(20_000, 40);
  t.ok(concurrency.limit < 6, `${concurrency.limit}`);
  t.ok(concurrency.limit >= 2);
  round(100, 300);
  t.equal(concurrency.limit, 10);
});

t.test('fingerprints know what was added and, but for chance, nothing else', async (t) => {
  const set = new Fingerprints(5000);
  for (let i = 0; i < 5000; i++) set.add(cid(2 * i));
  for (let i = 0; i < 5000; i++) t.equal(set.has(cid(2 * i)), true);
  t.equal(Array.from({ length: 5000 }, (_, i) => cid(20_000 + 2 * i)).filter((c) => set.has(c)).length, 0);
});

t.test('decisions', async (t) => {
  const at = { nowMs: 1000, unpinDelayMs: 60 };
  const pin: Wanted = {
    kind: 'pin',
    mode: 'recursive',
    origins: [],
    allocations: [],
    createdMs: 0,
    updates: undefined,
  };
  const held = pinnedRow('recursive', 1);
  const failed: StatusRow = { ...held, status: 'pin_error', held: 'none', retryAtMs: 2000 };
  const known = (row?: StatusRow, maybeHeld = false) => ({ row, maybeHeld });
  t.equal(decide(pin, known(), 'seen', at).kind, 'pin');
  t.equal(decide(pin, known(held), 'changed', at).kind, 'nothing');
  t.equal(decide({ ...pin, mode: 'direct' }, known(held), 'seen', at).kind, 'pin');
  t.equal(decide(pin, known(failed), 'seen', at).kind, 'nothing', 'waits');
  t.equal(decide(pin, known(failed), 'changed', at).kind, 'pin', 'somebody asked for it');
  t.match(decide(pin, known({ ...held, status: 'unpin_queued' }), 'seen', at), {
    kind: 'write',
    row: { status: 'pinned' },
  });
  t.equal(decide({ kind: 'none' }, known(), 'seen', at).kind, 'nothing');
  t.equal(
    decide({ kind: 'none' }, known(undefined, true), 'seen', at).kind,
    'unpin',
    'an attempt may have reached the node',
  );
  t.equal(decide({ kind: 'none' }, known(held), 'seen', at).kind, 'unpin');
  t.match(decide({ kind: 'remote' }, known(held), 'seen', at), {
    kind: 'write',
    row: { status: 'unpin_queued', retryAtMs: 1060 },
  });
  t.equal(decide({ kind: 'remote' }, known(), 'seen', at).kind, 'nothing');
});

t.test('namespaces are spread over the flows', async (t) => {
  const flows = Array.from({ length: 10_000 }, (_, i) => flowOf(`tenant-${i}`));
  t.ok(flows.every((flow) => Number.isInteger(flow) && flow >= 0 && flow < FLOWS));
  const counts = Object.values(Object.groupBy(flows, (flow) => flow)).map((of) => of?.length ?? 0);
  t.equal(counts.length, FLOWS);
  t.ok(Math.max(...counts) < 100, `at most ${Math.max(...counts)} of 10,000 in one`);
});

t.test('flows take turns, and within one it is first come, first served', async (t) => {
  const queue = new FairQueue<{ flow: number; name: string }>();
  const names = (count: number) => Array.from({ length: count }, () => queue.shift()?.name);
  const items = [...'aaaabcab'].map((flow, at) => ({ flow: flow.charCodeAt(0), name: `${flow}${at}` }));
  for (const item of items) queue.push(item);
  t.equal(queue.length, 8);
  t.equal(queue.lengthOf('a'.charCodeAt(0)), 5);
  t.same(
    items.map((item) => queue.ahead(item)),
    [0, 3, 5, 6, 1, 2, 7, 4],
  );
  t.ok(queue.remove(items[1] as (typeof items)[number]));
  t.notOk(queue.remove(items[1] as (typeof items)[number]));
  t.same(names(8), ['a0', 'b4', 'c5', 'a2', 'b7', 'a3', 'a6', undefined]);
  t.equal(queue.length, 0);
});

t.test('whoever asks how many are before it is told right', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 40 }), fc.nat({ max: 20 }), (flows, served) => {
      const queue = new FairQueue<{ flow: number }>();
      const items = flows.map((flow) => ({ flow }));
      for (const item of items) queue.push(item);
      const gone = Array.from({ length: Math.min(served, items.length) }, () => queue.shift());
      const left = items.filter((item) => !gone.includes(item));
      const said = left.map((item) => queue.ahead(item));
      const order = left.map(() => queue.shift());
      t.same(
        left.map((item) => order.indexOf(item)),
        said,
      );
    }),
  );
});
