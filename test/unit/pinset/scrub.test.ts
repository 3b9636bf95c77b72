import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { lmdbStorage } from '../../../src/storage/lmdb/lmdb-storage.ts';
import { type MemoryStorage, memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import type { TableSpec } from '../../../src/storage/storage.ts';
import type { StoreHandle } from '../../suites/pinset-world.ts';
import { scrubSuite } from '../../suites/scrub.suite.ts';

const root = mkdtempSync(join(tmpdir(), 'scrub-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
let stores = 0;

async function onDisk(path: string, tables: readonly TableSpec[]): Promise<StoreHandle> {
  const storage = await lmdbStorage({ path, tables, mapBytes: 256 * 1024 * 1024 });
  return {
    storage,
    async reopen() {
      await storage.close();
      return onDisk(path, tables);
    },
  };
}

function inMemory(storage: MemoryStorage): StoreHandle {
  return { storage, reopen: async () => inMemory(storage.control.crash('machine')) };
}

t.test('in memory', (t) => {
  scrubSuite(t, async (_, tables) => inMemory(memoryStorage({ tables, flush: 'auto' })));
  t.end();
});

t.test('on disk', (t) => {
  scrubSuite(t, async (t, tables) => {
    const first = await onDisk(join(root, `${stores++}`), tables);
    t.teardown(() => first.storage.close());
    return first;
  });
  t.end();
});
