import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { lmdbStorage } from '../../src/storage/lmdb/lmdb-storage.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { bytes, text } from '../suites/storage.suite.ts';
import { entriesOf, keyOf, tables } from './lmdb-kill-child.ts';

// The store under a process that ends in the middle of its work.

function tempFile(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-storage-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return join(folder, 'store.mdb');
}

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
  const child = spawn(process.execPath, [join(import.meta.dirname, 'lmdb-kill-child.ts'), path], {
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
    ['-c', 'ulimit -f 16000; exec "$0" "$@"', process.execPath, join(import.meta.dirname, 'lmdb-kill-child.ts'), path],
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
