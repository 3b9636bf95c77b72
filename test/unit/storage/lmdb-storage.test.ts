import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { lmdbStorage } from '../../../src/storage/lmdb/lmdb-storage.ts';
import { bytes, codeOf, storageSuite, text } from '../../suites/storage.suite.ts';
import { fc } from '../../support/fast-check.ts';

const tables = [{ name: 'a' }, { name: 'index', writeOnly: true }];

function tempFile(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-storage-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return join(folder, 'store.mdb');
}

t.test('contract', (t) => {
  storageSuite(t, async (t, tables) => {
    const storage = await lmdbStorage({ path: tempFile(t), tables });
    t.teardown(() => storage.close());
    return storage;
  });
  t.end();
});

t.test('what was flushed is there when the file is opened again', async (t) => {
  const path = tempFile(t);
  for (let round = 1; round <= 3; round++) {
    const storage = await lmdbStorage({ path, tables });
    t.equal(storage.tableSize('a').entries, (round - 1) * 100);
    await storage.transaction((tx) => {
      for (let i = 0; i < 100; i++) tx.put('a', bytes(`${round} ${i}`), bytes('1'));
    }).committed;
    await storage.close();
  }
});

t.test('a table can be added to an existing store', async (t) => {
  const path = tempFile(t);
  const before = await lmdbStorage({ path, tables: [{ name: 'a' }] });
  before.transaction((tx) => tx.put('a', bytes('k'), bytes('1')));
  await before.close();
  const after = await lmdbStorage({ path, tables: [{ name: 'b' }, { name: 'a' }, { name: 'c' }] });
  t.equal(text(after.read.get('a', bytes('k'))), '1');
  t.equal(after.read.get('c', bytes('k')), undefined);
  await after.close();
});

t.test('a file that is damaged or something else is refused with advice', async (t) => {
  const path = tempFile(t);
  for (const content of ['#!/bin/sh\necho hello\n', 'x'.repeat(100_000), '\0'.repeat(4096), '\0'.repeat(1_000_000)]) {
    writeFileSync(path, content);
    await t.rejects(lmdbStorage({ path, tables }), { code: 'DATA_CORRUPT', message: /restore a backup/ });
    t.equal(readFileSync(path, 'latin1'), content, 'left as it was');
  }
  for (const other of [join(path, 'in a file'), join(dirname(path), 'no folder', 'store.mdb'), dirname(path)]) {
    await t.rejects(lmdbStorage({ path: other, tables }), { code: 'STORAGE_FAILED', message: /cannot open the store/ });
  }
});

t.test('a store cut short is refused, or opens when only free pages are missing', async (t) => {
  const path = tempFile(t);
  const whole = await filledFile(path);
  const whenOpened = async () => {
    const storage = await lmdbStorage({ path, tables });
    const { entries } = storage.tableSize('a');
    for (const _ of storage.read.range('a'));
    await storage.close();
    return entries;
  };
  t.equal(await whenOpened(), 5000);
  for (const part of [0.9, 0.5, 0.1, 0.02]) {
    writeFileSync(path, whole);
    truncateSync(path, Math.floor((statSync(path).size * part) / 512) * 512);
    t.equal(await codeOf(whenOpened), 'DATA_CORRUPT', `${part} of the file`);
  }
  // Any cut below a page: the header itself.
  for (const size of [1, 100, 2000, 4095, 4096]) {
    writeFileSync(path, whole);
    truncateSync(path, size);
    t.equal(await codeOf(whenOpened), 'DATA_CORRUPT', `${size} bytes`);
  }
});

t.test('a header with anything in it does not end the process', async (t) => {
  const path = tempFile(t);
  const whole = await filledFile(path);
  await fc.assert(
    fc.asyncProperty(fc.nat(200), fc.uint8Array({ minLength: 1, maxLength: 16 }), async (at, garbage) => {
      const damaged = Buffer.from(whole);
      damaged.set(garbage, at);
      writeFileSync(path, damaged);
      const code = await codeOf(async () => {
        const storage = await lmdbStorage({ path, tables });
        await storage.close();
      });
      return code === 'none' || code === 'DATA_CORRUPT';
    }),
    // Always the same runs: what is damaged beyond the first header is not ours to promise.
    { numRuns: 100, seed: 1 },
  );
  t.pass('held');
});

async function filledFile(path: string): Promise<Buffer> {
  const storage = await lmdbStorage({ path, tables });
  await storage.transaction((tx) => {
    for (let i = 0; i < 5000; i++) tx.put('a', bytes(`key ${i}`), new Uint8Array(200));
  }).flushed;
  await storage.close();
  return readFileSync(path);
}
