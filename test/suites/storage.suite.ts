import type { Test } from 'tap';
import { isPinfoldError } from '../../src/model/errors.ts';
import type { Entry, Range, Reader, Storage, TableSpec } from '../../src/storage/storage.ts';
import { fc } from '../support/fast-check.ts';

/** Makes a new, empty store, committing and flushing by itself; what it leaves behind is removed with `t`. */
export type StorageFactory = (t: Test, tables: readonly TableSpec[]) => Promise<Storage>;

const tables = [{ name: 'a' }, { name: 'b' }, { name: 'index', writeOnly: true }];

/** The contract of src/storage/storage.ts. */
export function storageSuite(t: Test, factory: StorageFactory): void {
  t.test('transactions', (t) => transactionCases(t, factory));
  t.test('ranges', (t) => rangeCases(t, factory));
  t.test('snapshots', (t) => snapshotCases(t, factory));
  t.test('keys and values', (t) => keyCases(t, factory));
  t.test('closing', (t) => closingCases(t, factory));
  t.test('any sequence of transactions behaves like a sorted map', (t) => modelCase(t, factory));
}

function transactionCases(t: Test, factory: StorageFactory): void {
  t.test('a transaction sees its own writes and those queued before it; read sees them once committed', async (t) => {
    const storage = await factory(t, tables);
    const first = storage.transaction((tx) => {
      tx.put('a', bytes('k'), bytes('1'));
      return text(tx.get('a', bytes('k')));
    });
    t.equal(first.value, '1');
    const second = storage.transaction((tx) => {
      const before = text(tx.get('a', bytes('k')));
      tx.put('a', bytes('k'), bytes('2'));
      tx.put('b', bytes('k'), bytes('other table'));
      return [before, text(tx.get('a', bytes('k'))), text(tx.get('b', bytes('k')))];
    });
    t.same(second.value, ['1', '2', 'other table']);
    await second.committed;
    t.equal(text(storage.read.get('a', bytes('k'))), '2');
    t.equal(text(storage.read.get('b', bytes('k'))), 'other table');
    await second.flushed;
    t.equal(storage.transaction((tx) => text(tx.get('a', bytes('k')))).value, '2');
  });

  t.test('removing: seen at once, nothing when not there, and put again', async (t) => {
    const storage = await factory(t, tables);
    await storage.transaction((tx) => tx.put('a', bytes('k'), bytes('1'))).flushed;
    const removed = storage.transaction((tx) => {
      tx.remove('a', bytes('k'));
      tx.remove('a', bytes('never there'));
      return tx.get('a', bytes('k'));
    });
    t.equal(removed.value, undefined);
    t.equal(storage.transaction((tx) => tx.get('a', bytes('k'))).value, undefined);
    await removed.committed;
    t.equal(storage.read.get('a', bytes('k')), undefined);
    const again = storage.transaction((tx) => {
      tx.remove('a', bytes('k'));
      tx.put('a', bytes('k'), bytes('3'));
      return text(tx.get('a', bytes('k')));
    });
    t.equal(again.value, '3');
    await again.committed;
    t.equal(text(storage.read.get('a', bytes('k'))), '3');
  });

  t.test('a transaction that throws writes nothing, and what was queued before it stays', async (t) => {
    const storage = await factory(t, tables);
    const first = storage.transaction((tx) => tx.put('a', bytes('k'), bytes('1')));
    const thrown = new Error('asked for');
    t.throws(
      () =>
        storage.transaction((tx) => {
          tx.put('a', bytes('k'), bytes('2'));
          tx.remove('a', bytes('k'));
          // More than fits into one piece of a write batch.
          for (let i = 0; i < 20; i++) tx.put('a', bytes(`big ${i}`), new Uint8Array(100_000));
          tx.put('index', bytes('k'), bytes('2'));
          throw thrown;
        }),
      thrown,
    );
    t.equal(storage.transaction((tx) => text(tx.get('a', bytes('k')))).value, '1');
    const last = storage.transaction((tx) => tx.put('b', bytes('after'), bytes('1')));
    await last.flushed;
    await first.flushed;
    t.same(pairs(storage.read.range('a')), [['k', '1']]);
    t.same(pairs(storage.read.range('index')), []);
    t.same(pairs(storage.read.range('b')), [['after', '1']]);
  });

  t.test('a transaction inside a transaction throws and does not hurt the outer one', async (t) => {
    const storage = await factory(t, tables);
    const outer = storage.transaction((tx) => {
      tx.put('a', bytes('k'), bytes('outer'));
      t.throws(
        () => storage.transaction((inner) => inner.put('a', bytes('k'), bytes('inner'))),
        /inside a transaction/,
      );
    });
    await outer.committed;
    t.equal(text(storage.read.get('a', bytes('k'))), 'outer');
  });

  t.test('a transaction cannot be used after its function has returned', async (t) => {
    const storage = await factory(t, tables);
    const { value: leaked } = storage.transaction((tx) => tx);
    t.throws(() => leaked.put('a', bytes('k'), bytes('1')), /after its function/);
    t.throws(() => leaked.get('a', bytes('k')), /after its function/);
    await storage.flushed();
    t.equal(storage.read.get('a', bytes('k')), undefined);
  });

  t.test('tables: writeOnly ones cannot be read by a transaction, unknown ones by nobody', async (t) => {
    const storage = await factory(t, tables);
    const commit = storage.transaction((tx) => {
      tx.put('index', bytes('k'), bytes('1'));
      t.throws(() => tx.get('index', bytes('k')), /writeOnly/);
      t.throws(() => tx.put('none', bytes('k'), bytes('1')), /none/);
    });
    t.throws(() => storage.read.get('none', bytes('k')), /none/);
    t.throws(() => storage.read.range('none'), /none/);
    t.throws(() => storage.tableSize('none'), /none/);
    await commit.committed;
    t.equal(text(storage.read.get('index', bytes('k'))), '1');
  });

  t.test(
    'committed and flushed come in the order of the transactions, also for those that wrote nothing',
    async (t) => {
      const storage = await factory(t, tables);
      const order: string[] = [];
      const waits: Promise<unknown>[] = [];
      for (let i = 0; i < 20; i++) {
        const commit = storage.transaction((tx) => {
          if (i % 3 !== 2) tx.put('a', bytes(`k${i}`), new Uint8Array(1000));
        });
        waits.push(commit.committed.then(() => order.push(`c${i}`)));
        waits.push(commit.flushed.then(() => order.push(`f${i}`)));
        if (i % 4 === 3) await commit.committed;
      }
      await Promise.all(waits);
      await storage.flushed();
      const numbers = (kind: string) => order.filter((entry) => entry.startsWith(kind)).map((entry) => +entry.slice(1));
      t.same(numbers('c'), [...Array(20).keys()]);
      t.same(numbers('f'), [...Array(20).keys()]);
      for (let i = 0; i < 20; i++)
        t.ok(order.indexOf(`c${i}`) < order.indexOf(`f${i}`), `${i} committed, then flushed`);
    },
  );

  t.test('many transactions in flight, each reading what the ones before it wrote', async (t) => {
    const storage = await factory(t, tables);
    let last: Promise<void> | undefined;
    for (let i = 0; i < 3000; i++) {
      const commit = storage.transaction((tx) => {
        const count = Number(text(tx.get('a', bytes('count'))) ?? '0');
        tx.put('a', bytes('count'), bytes(String(count + 1)));
        tx.put('index', bytes(`k${i}`), new Uint8Array(200));
      });
      last = commit.flushed;
      if (i % 500 === 0) await commit.committed;
      if (i % 50 === 0) await null;
    }
    await last;
    t.equal(text(storage.read.get('a', bytes('count'))), '3000');
    t.equal(storage.tableSize('index').entries, 3000);
    t.ok(storage.tableSize('index').bytes >= 3000 * 200);
    t.ok(storage.sizeBytes() >= 3000 * 200);
  });
  t.end();
}

function rangeCases(t: Test, factory: StorageFactory): void {
  t.test('bounds, direction and limit', async (t) => {
    const storage = await factory(t, tables);
    await storage.transaction((tx) => {
      for (const key of ['b', 'a', 'c', 'ab', 'e']) tx.put('a', bytes(key), bytes(`=${key}`));
    }).committed;
    const keys = (range?: Range) => pairs(storage.read.range('a', range)).map(([key]) => key);
    t.same(keys(), ['a', 'ab', 'b', 'c', 'e']);
    t.same(keys({ reverse: true }), ['e', 'c', 'b', 'ab', 'a']);
    t.same(keys({ from: bytes('ab') }), ['ab', 'b', 'c', 'e']);
    t.same(keys({ from: bytes('aa') }), ['ab', 'b', 'c', 'e']);
    t.same(keys({ to: bytes('c') }), ['a', 'ab', 'b']);
    t.same(keys({ from: bytes('ab'), to: bytes('c') }), ['ab', 'b']);
    t.same(keys({ from: bytes('ab'), to: bytes('c'), reverse: true }), ['b', 'ab']);
    t.same(keys({ from: bytes('ab'), to: bytes('d'), reverse: true }), ['c', 'b', 'ab']);
    t.same(keys({ from: bytes('c'), to: bytes('c') }), []);
    t.same(keys({ from: bytes('e'), to: bytes('a') }), []);
    t.same(keys({ from: bytes('e'), to: bytes('a'), reverse: true }), []);
    t.same(keys({ limit: 2 }), ['a', 'ab']);
    t.same(keys({ limit: 2, reverse: true }), ['e', 'c']);
    t.same(keys({ limit: 0 }), []);
    t.same(keys({ from: bytes('') }), ['a', 'ab', 'b', 'c', 'e']);
    t.same(keys({ to: bytes('') }), []);
    t.same(keys({ to: bytes(''), reverse: true }), []);
    t.same(pairs(storage.read.range('b')), []);
    t.same(pairs(storage.read.range('b', { reverse: true })), []);
  });

  t.test('one range sees one state, and may be left early', async (t) => {
    const storage = await factory(t, tables);
    await storage.transaction((tx) => {
      for (let i = 0; i < 100; i++) tx.put('a', bytes(`k${100 + i}`), bytes('1'));
    }).committed;
    for (const { key } of storage.read.range('a')) {
      t.equal(text(key), 'k100');
      break;
    }
    const iterator = storage.read.range('a')[Symbol.iterator]();
    t.equal(text(iterator.next().value?.key), 'k100');
    iterator.return?.();
    t.equal([...storage.read.range('a')].length, 100);
  });

  t.test('what is handed out is fresh', async (t) => {
    const storage = await factory(t, tables);
    await storage.transaction((tx) => tx.put('a', bytes('k'), bytes('value'))).committed;
    storage.read.get('a', bytes('k'))?.fill(0);
    for (const { key, value } of storage.read.range('a')) {
      key.fill(0);
      value.fill(0);
    }
    const { value } = storage.transaction((tx) => {
      tx.put('a', bytes('l'), bytes('queued'));
      tx.get('a', bytes('l'))?.fill(0);
      return text(tx.get('a', bytes('l')));
    });
    t.equal(value, 'queued');
    t.equal(text(storage.read.get('a', bytes('k'))), 'value');
    const got = storage.read.get('a', bytes('k'));
    t.equal(Object.getPrototypeOf(got), Uint8Array.prototype, 'a plain Uint8Array');
    for (const entry of storage.read.range('a', { limit: 1 })) {
      t.equal(Object.getPrototypeOf(entry.key), Uint8Array.prototype);
      t.equal(Object.getPrototypeOf(entry.value), Uint8Array.prototype);
    }
  });
  t.end();
}

function snapshotCases(t: Test, factory: StorageFactory): void {
  t.test('a snapshot keeps its state while writes go on', async (t) => {
    const storage = await factory(t, tables);
    const write = (value: string) =>
      storage.transaction((tx) => {
        for (let i = 0; i < 500; i++) tx.put('a', bytes(`k${1000 + i}`), bytes(value));
        tx.put('a', bytes(`only ${value}`), bytes(value));
      });
    await write('1').committed;
    const first = storage.snapshot();
    await write('2').committed;
    const second = await storage.snapshot();
    await write('3').flushed;
    for (let i = 0; i < 20; i++) await write('4').committed;
    for (const [snapshot, value] of [
      [await first, '1'],
      [second, '2'],
    ] as const) {
      t.equal(text(snapshot.get('a', bytes('k1000'))), value);
      const entries = pairs(snapshot.range('a', { from: bytes('k'), to: bytes('l') }));
      t.equal(entries.length, 500);
      t.ok(entries.every(([, seen]) => seen === value));
      t.equal(snapshot.get('a', bytes('only 3')), undefined);
    }
    t.equal(text(storage.read.get('a', bytes('k1000'))), '4');
    second.close();
    second.close();
    t.throws(() => second.get('a', bytes('k1000')), { code: 'STORAGE_FAILED' });
    t.throws(() => second.range('a'), { code: 'STORAGE_FAILED' });
    t.equal(text((await first).get('a', bytes('k1000'))), '1');
    (await first).close();
  });

  t.test('a closed store leaves its snapshots unusable', async (t) => {
    const storage = await factory(t, tables);
    await storage.transaction((tx) => tx.put('a', bytes('k'), bytes('1'))).committed;
    const snapshot = await storage.snapshot();
    const iterator = snapshot.range('a')[Symbol.iterator]();
    t.equal(text(iterator.next().value?.key), 'k');
    await storage.close();
    t.throws(() => snapshot.get('a', bytes('k')), { code: 'STORAGE_FAILED' });
    t.throws(() => iterator.next(), { code: 'STORAGE_FAILED' });
    snapshot.close();
  });

  t.test('many snapshots at a time', async (t) => {
    const storage = await factory(t, tables);
    const snapshots = [];
    for (let i = 0; i < 100; i++) {
      await storage.transaction((tx) => tx.put('a', bytes('k'), bytes(String(i)))).committed;
      snapshots.push(await storage.snapshot());
    }
    for (const [i, snapshot] of snapshots.entries()) {
      if (text(snapshot.get('a', bytes('k'))) !== String(i)) t.fail(`snapshot ${i}`);
      snapshot.close();
    }
    t.equal(snapshots.length, 100);
  });
  t.end();
}

function keyCases(t: Test, factory: StorageFactory): void {
  t.test('keys of 1 to 511 bytes, and no others', async (t) => {
    const storage = await factory(t, tables);
    const longest = new Uint8Array(511).fill(255);
    const commit = storage.transaction((tx) => {
      tx.put('a', longest, bytes('longest'));
      tx.put('a', Uint8Array.of(0), bytes('lowest'));
      for (const length of [0, 512]) {
        const key = new Uint8Array(length);
        t.throws(() => tx.put('a', key, bytes('1')), /1 to 511 bytes/);
        t.throws(() => tx.remove('a', key), /1 to 511 bytes/);
        t.throws(() => tx.get('a', key), /1 to 511 bytes/);
      }
      return text(tx.get('a', longest));
    });
    t.equal(commit.value, 'longest');
    await commit.committed;
    t.throws(() => storage.read.get('a', new Uint8Array()), /1 to 511 bytes/);
    t.throws(() => storage.read.get('a', new Uint8Array(512)), /1 to 511 bytes/);
    t.equal(text(storage.read.get('a', longest)), 'longest');
    t.equal(text(storage.read.get('a', Uint8Array.of(0))), 'lowest');
    const values = (range: Range) => pairs(storage.read.range('a', range)).map(([, value]) => value);
    t.same(values({}), ['lowest', 'longest']);
    t.same(values({ reverse: true }), ['longest', 'lowest']);
    const after = Uint8Array.of(...longest, 0);
    t.same(values({ from: after }), []);
    t.same(values({ to: after, reverse: true }), ['longest', 'lowest']);
    t.throws(() => storage.read.range('a', { from: new Uint8Array(513) }), /bound/);
  });

  t.test('values of any size, empty ones too', async (t) => {
    const storage = await factory(t, tables);
    const sizes = [0, 1, 60, 4096, 32_767, 32_768, 33_000, 200_000, 524_288, 3_000_000];
    const value = (size: number) => new Uint8Array(size).map((_, i) => (i * 31 + size) & 255);
    const commit = storage.transaction((tx) => {
      for (const size of sizes) tx.put('a', bytes(`size ${size}`), value(size));
      return sizes.map((size) => tx.get('a', bytes(`size ${size}`)));
    });
    const same = (seen: Uint8Array | undefined, size: number) =>
      seen !== undefined && Buffer.compare(seen, value(size)) === 0;
    t.ok(sizes.every((size, i) => same(commit.value[i], size)));
    await commit.committed;
    for (const size of sizes) t.ok(same(storage.read.get('a', bytes(`size ${size}`)), size), `get of ${size} bytes`);
    for (const entry of storage.read.range('a')) {
      const size = Number(text(entry.key)?.slice(5));
      t.ok(same(entry.value, size), `range over ${size} bytes`);
    }
  });

  t.test('arrays that are part of a larger buffer', async (t) => {
    const storage = await factory(t, tables);
    const large = bytes('..key..value..');
    await storage.transaction((tx) => tx.put('a', large.subarray(2, 5), large.subarray(7, 12))).committed;
    t.same(pairs(storage.read.range('a')), [['key', 'value']]);
    t.equal(text(storage.read.get('a', large.subarray(2, 5))), 'value');
  });
  t.end();
}

function closingCases(t: Test, factory: StorageFactory): void {
  t.test('closing flushes, twice is once, and afterwards everything throws STORAGE_FAILED', async (t) => {
    const storage = await factory(t, tables);
    const commit = storage.transaction((tx) => tx.put('a', bytes('k'), bytes('1')));
    const closing = storage.close();
    const failed = { code: 'STORAGE_FAILED' };
    t.throws(() => storage.transaction(() => {}), failed);
    await commit.flushed;
    await closing;
    await storage.close();
    t.throws(() => storage.transaction(() => {}), failed);
    t.throws(() => storage.read.get('a', bytes('k')), failed);
    t.throws(() => [...storage.read.range('a')], failed);
    t.throws(() => storage.tableSize('a'), failed);
    t.throws(() => storage.sizeBytes(), failed);
    await t.rejects(storage.snapshot(), failed);
    await t.rejects(storage.flushed(), failed);
  });

  t.test('an unused store can be closed and flushed', async (t) => {
    const storage = await factory(t, tables);
    await storage.flushed();
    const { committed, flushed } = storage.transaction(() => {});
    await committed;
    await flushed;
    t.same(storage.tableSize('a').entries, 0);
    await storage.close();
  });
  t.end();
}

type Step =
  | { do: 'write'; ops: { table: 'a' | 'b'; key: Uint8Array; value: Uint8Array | undefined }[]; throws: boolean }
  | { do: 'wait'; for: 'committed' | 'flushed' | 'microtask' }
  | { do: 'range'; range: Range }
  | { do: 'snapshot' };

async function modelCase(t: Test, factory: StorageFactory): Promise<void> {
  const part = fc.constantFrom(
    Uint8Array.of(0),
    Uint8Array.of(255),
    bytes('a'),
    bytes('b'),
    new Uint8Array(170).fill(7),
  );
  const key = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => new Uint8Array(Buffer.concat(parts)));
  const value = fc.oneof(fc.uint8Array({ maxLength: 8 }), fc.constant(new Uint8Array(5000).fill(9)));
  const op = fc.record({
    table: fc.constantFrom('a' as const, 'b' as const),
    key,
    value: fc.option(value, { nil: undefined }),
  });
  const range: fc.Arbitrary<Range> = fc.record(
    { from: key, to: key, reverse: fc.boolean(), limit: fc.nat(6) },
    { requiredKeys: [] },
  );
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('write' as const),
        ops: fc.array(op, { maxLength: 12 }),
        throws: fc.integer({ max: 5, min: 0 }).map((n) => n === 0),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('wait' as const),
        for: fc.constantFrom('committed', 'flushed', 'microtask'),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('range' as const), range }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('snapshot' as const) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const storage = await factory(t, tables);
      await runModel(storage, steps);
      await storage.close();
    }),
    { numRuns: 60 },
  );
  t.pass('held');
}

async function runModel(storage: Storage, steps: readonly Step[]): Promise<void> {
  const model = { a: new Map<string, string>(), b: new Map<string, string>() };
  const snapshots: { reader: Reader & { close(): void }; model: typeof model }[] = [];
  const copy = () => ({ a: new Map(model.a), b: new Map(model.b) });
  for (const step of steps) {
    if (step.do === 'write') write(storage, model, step);
    else if (step.do === 'wait') await (step.for === 'microtask' ? null : storage.transaction(() => {})[step.for]);
    else {
      // What is queued is not to be seen by readers yet, or is: so first bring both to the same state.
      await storage.transaction(() => {}).committed;
      if (step.do === 'range') compareRange(storage.read, model.a, step.range);
      else snapshots.push({ reader: await storage.snapshot(), model: copy() });
    }
  }
  await storage.flushed();
  snapshots.push({ reader: { ...storage.read, close() {} }, model });
  for (const { reader, model } of snapshots) {
    for (const table of ['a', 'b'] as const) {
      compare([...reader.range(table)], sorted(model[table]));
      for (const [key, value] of model[table])
        equal(hex(reader.get(table, Buffer.from(key, 'hex')) ?? new Uint8Array(1)), value);
    }
    reader.close();
  }
}

function write(storage: Storage, model: Record<'a' | 'b', Map<string, string>>, step: Step & { do: 'write' }): void {
  const after = { a: new Map(model.a), b: new Map(model.b) };
  const run = () =>
    storage.transaction((tx) => {
      for (const { table, key, value } of step.ops) {
        if (value === undefined) {
          tx.remove(table, key);
          after[table].delete(hex(key));
        } else {
          tx.put(table, key, value);
          after[table].set(hex(key), hex(value));
        }
        for (const other of step.ops) {
          const seen = tx.get(other.table, other.key);
          equal(seen && hex(seen), after[other.table].get(hex(other.key)));
        }
      }
      if (step.throws) throw new Error('asked for');
    });
  try {
    run();
    Object.assign(model, after);
  } catch (error) {
    if (!step.throws || !(error instanceof Error) || error.message !== 'asked for') throw error;
  }
}

function compareRange(reader: Reader, model: ReadonlyMap<string, string>, range: Range): void {
  const from = range.from && hex(range.from);
  const to = range.to && hex(range.to);
  let expected = sorted(model).filter(([key]) => (from === undefined || key >= from) && (to === undefined || key < to));
  if (range.reverse) expected.reverse();
  if (range.limit !== undefined) expected = expected.slice(0, range.limit);
  compare([...reader.range('a', range)], expected);
}

/** The order of lower-case hexadecimal digits is that of the bytes. */
function sorted(model: ReadonlyMap<string, string>): [string, string][] {
  return [...model].sort(([a], [b]) => (a < b ? -1 : 1));
}

function compare(seen: readonly Entry[], expected: readonly [string, string][]): void {
  equal(
    seen.map(({ key, value }) => `${hex(key)}=${hex(value)}`).join('\n'),
    expected.map((pair) => pair.join('=')).join('\n'),
  );
}

function equal(seen: unknown, expected: unknown): void {
  if (seen !== expected) throw new Error(`seen ${seen}, expected ${expected}`);
}

/** Runs `fn` and says which PinfoldError came out. */
export async function codeOf(fn: () => unknown): Promise<string> {
  try {
    await fn();
    return 'none';
  } catch (error) {
    return isPinfoldError(error) ? error.code : String(error);
  }
}

export function bytes(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value));
}

export function text(value: Uint8Array | undefined): string | undefined {
  return value && Buffer.from(value).toString();
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex');
}

function pairs(entries: Iterable<Entry>): [string | undefined, string | undefined][] {
  return Array.from(entries, ({ key, value }) => [text(key), text(value)]);
}
