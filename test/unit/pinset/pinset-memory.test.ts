import t from 'tap';
import { type MemoryStorage, memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { pinsetSuite } from '../../suites/pinset.suite.ts';
import type { StoreHandle } from '../../suites/pinset-world.ts';

function handle(storage: MemoryStorage): StoreHandle {
  return { storage, reopen: async () => handle(storage.control.crash('process')) };
}

pinsetSuite(t, async (_t, tables) => handle(memoryStorage({ tables, flush: 'auto' })));
