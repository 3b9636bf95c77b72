import { join } from 'node:path';
import { defaultsOf } from '../src/config/option.ts';
import { crdtTables, logTable } from '../src/consensus/crdt/tables.ts';
import { IpfsWorld } from '../src/ipfs/memory/ipfs-world.ts';
import { memoryConnector } from '../src/ipfs/memory/memory-connector.ts';
import { monitorTables } from '../src/monitor/member-table.ts';
import { pinset } from '../src/pinset/local-pinset.ts';
import { pinsetTables, tableSets } from '../src/pinset/tables.ts';
import { systemClock as clock, systemTimers as timers } from '../src/runtime/clock.ts';
import { silentLogger as logger } from '../src/runtime/logger.ts';
import { noMetrics as metrics } from '../src/runtime/metrics.ts';
import { systemRandom as random } from '../src/runtime/random.ts';
import { lmdbStorage } from '../src/storage/lmdb/lmdb-storage.ts';
import type { Storage, TableName } from '../src/storage/storage.ts';
import { trackerOptions } from '../src/tracker/options.ts';
import { byStatusTable, dueTable, statusTable, trackerTables } from '../src/tracker/tables.ts';
import { tracker } from '../src/tracker/wish-tracker.ts';

export interface StoreBytes {
  /** Bytes a pin: rows with the indexes that each pin has. */
  pins: number;
  /** Bytes a pin, when each has been pinned. */
  status: number;
  /** Bytes an operation. */
  log: number;
  /** Pins brought from the feed to `pinned` in a second, with a node that answers at once. */
  pinnedRate: number;
}

/**
 * Pages in use in the store of a peer that is stopped. For the status index a tracker runs here on that store, beside a node that
 * answers at once, until all is pinned.
 */
export async function storeBytes(folder: string, peerId: string, operations: number): Promise<StoreBytes> {
  const tables = [...pinsetTables, ...crdtTables, ...trackerTables, ...monitorTables];
  const storage = await lmdbStorage({ path: join(folder, 'data.mdb'), tables });
  const pinned = pinset({}, { storage, clock, timers, logger, metrics });
  await pinned.open();
  const count = pinned.count();
  const { pins, byName, byCreated, byExpiry, byMetadata } = tableSets.a;
  const rows = bytesOf(storage, [pins, byName, byCreated, byExpiry, byMetadata]);
  const log = bytesOf(storage, [logTable]);

  const connector = memoryConnector({ peerId, world: new IpfsWorld({ timers }), isInstant: true }, { clock, timers });
  const work = tracker(defaultsOf(trackerOptions), {
    ...{ storage, pinset: pinned, connector, peerId, clock, timers, random, logger, metrics },
    sources: () => [],
    history: () => new Uint8Array(16),
  });
  await connector.start();
  const began = performance.now();
  await work.start();
  await settled(() => work.counts().pinned, count);
  const seconds = (performance.now() - began) / 1000;
  await work.stop();
  await connector.stop();
  const status = bytesOf(storage, [statusTable, byStatusTable, dueTable]);
  await storage.close();
  return { pins: rows / count, status: status / count, log: log / operations, pinnedRate: count / seconds };
}

function bytesOf(storage: Storage, tables: readonly TableName[]): number {
  return tables.reduce((sum, table) => sum + storage.tableSize(table).bytes, 0);
}

/** Resolves when all are pinned; rejects when for a minute not one more is. */
async function settled(pinnedNow: () => number, count: number): Promise<void> {
  let most = 0;
  let sinceMs = performance.now();
  for (let pinned = pinnedNow(); pinned < count; pinned = pinnedNow()) {
    if (pinned > most) {
      most = pinned;
      sinceMs = performance.now();
    }
    if (performance.now() - sinceMs > 60_000) throw new Error(`the tracker stands still at ${pinned} of ${count} pins`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
