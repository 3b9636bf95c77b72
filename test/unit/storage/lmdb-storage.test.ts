import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { lmdbStorage } from '../../../src/storage/lmdb/lmdb-storage.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { bytes, codeOf, storageSuite, text } from '../../suites/storage.suite.ts';
import { fc } from '../../support/fast-check.ts';
import { entriesOf, keyOf, tables } from './lmdb-child.ts';

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

t.test('killed at any moment: transactions are whole, and what was flushed is there', async (t) => {
  const path = tempFile(t);
  let last = 0;
  for (let round = 0; round < 10; round++) {
    const output = await killedAfter(path, 60 + ((round * 137) % 400));
    const flushed = lastFlushed(output);
    // Every other time, open as after a crash of the machine: with the state of the last flush.
    if (round % 2 === 1) process.env.LMDB_RESTORE = 'safe';
    const storage = await lmdbStorage({ path, tables });
    delete process.env.LMDB_RESTORE;
    last = checkWhole(storage, t);
    t.ok(last >= flushed, `${flushed} was flushed, ${last} is there`);
    await storage.close();
  }
  t.ok(last > 10, 'the process had time to write something');
});

/** Output of the child, which gets `delayMs` from its first flush on. */
async function killedAfter(path: string, delayMs: number): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'lmdb-child.ts'), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.once('data', () => setTimeout(() => child.kill('SIGKILL'), delayMs));
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => child.on('close', resolve));
  return output;
}

function lastFlushed(output: string): number {
  return Math.max(0, ...Array.from(output.matchAll(/flushed (\d+)/g), ([, n]) => Number(n)));
}

/** The number of the last transaction, of which, as of all before it, every entry must be there, and no others. */
function checkWhole(storage: Storage, t: Test): number {
  const last = Number(text(storage.read.get('a', bytes('last'))) ?? '0');
  let entries = 0;
  for (let n = 1; n <= last; n++) {
    entries += entriesOf(n);
    for (let i = 0; i < entriesOf(n); i++) {
      const value = storage.read.get('a', keyOf(n, i));
      if (value?.length !== 40 + (i % 5) * 300 || value.at(-1) !== (n & 255)) t.fail(`entry ${i} of ${n} of ${last}`);
    }
  }
  t.equal(storage.tableSize('index').entries, entries);
  t.equal(storage.tableSize('a').entries, entries + (last > 0 ? 1 : 0));
  return last;
}

t.test('a write that fails, as on a full disk, fails the store and leaves the file good', async (t) => {
  const path = tempFile(t);
  // No file of this process may grow beyond some megabytes: writing beyond gives EFBIG.
  const child = spawn(
    'sh',
    ['-c', 'ulimit -f 16000; exec "$0" "$@"', process.execPath, join(import.meta.dirname, 'lmdb-child.ts'), path],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  t.equal(code, 0);
  t.match(output, /failed STORAGE_FAILED\nfailed STORAGE_FAILED\nclosed\n$/);
  const storage = await lmdbStorage({ path, tables });
  const flushed = lastFlushed(output);
  t.ok(checkWhole(storage, t) >= flushed);
  await storage.close();
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
