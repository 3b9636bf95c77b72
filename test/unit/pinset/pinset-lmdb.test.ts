import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { lmdbStorage } from '../../../src/storage/lmdb/lmdb-storage.ts';
import type { TableSpec } from '../../../src/storage/storage.ts';
import { pinsetSuite } from '../../suites/pinset.suite.ts';
import type { StoreHandle } from '../../suites/pinset-world.ts';

async function open(path: string, tables: readonly TableSpec[]): Promise<StoreHandle> {
  const storage = await lmdbStorage({ path, tables, mapBytes: 256 * 1024 * 1024 });
  return {
    storage,
    reopen: async () => {
      await storage.close();
      return open(path, tables);
    },
  };
}

const root = mkdtempSync(join(tmpdir(), 'pinset-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
let stores = 0;

pinsetSuite(t, async (t, tables) => {
  const first = await open(join(root, `${stores++}`), tables);
  t.teardown(() => first.storage.close());
  return first;
});
