import { isPinfoldError } from '../../src/model/errors.ts';
import { lmdbStorage } from '../../src/storage/lmdb/lmdb-storage.ts';

/**
 * A process for the tests to kill: writes one numbered transaction after the other to the store at argv[2], each with
 * a number of entries that begin with its number, and prints `flushed <number>` when one is flushed.
 * Prints `failed <code>` for each of commit, next transaction and close when a write fails, and ends.
 */
export const entriesOf = (n: number) => 20 + (n % 7) * 150;
export const tables = [{ name: 'a' }, { name: 'index', writeOnly: true }];
export const keyOf = (n: number, i: number) => Buffer.from(`${String((i * 7919) % 1000).padStart(4, '0')} ${n} ${i}`);

async function run(path: string): Promise<void> {
  const storage = await lmdbStorage({ path, tables });
  const counter = Buffer.from('last');
  const started: Promise<void>[] = [];
  try {
    for (;;) {
      const { value: n, flushed } = storage.transaction((tx) => {
        const n = Number(Buffer.from(tx.get('a', counter) ?? []).toString() || '0') + 1;
        for (let i = 0; i < entriesOf(n); i++) {
          tx.put('a', keyOf(n, i), new Uint8Array(40 + (i % 5) * 300).fill(n & 255));
          tx.put('index', keyOf(n, i), new Uint8Array(60));
        }
        tx.put('a', counter, Buffer.from(String(n)));
        return n;
      });
      started.push(flushed.then(() => void process.stdout.write(`flushed ${n}\n`)));
      if (started.length > 5) await started.shift();
      else await null;
    }
  } catch (error) {
    await Promise.allSettled(started);
    report(error);
    try {
      storage.transaction(() => {});
    } catch (error) {
      report(error);
    }
    await storage.close();
    process.stdout.write('closed\n');
  }
}

function report(error: unknown): void {
  process.stdout.write(`failed ${isPinfoldError(error) ? error.code : error}\n`);
}

if (process.argv[2] !== undefined && import.meta.filename === process.argv[1]) await run(process.argv[2]);
