import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { bucketCount, bucketOf } from '../../src/model/pin-key.ts';
import type { PinRow } from '../../src/pinset/pinset.ts';
import { pinsetTables } from '../../src/pinset/tables.ts';
import { lmdbStorage } from '../../src/storage/lmdb/lmdb-storage.ts';
import { PinsetWorld, type StoreHandle } from '../suites/pinset-world.ts';
import { scrubbed } from '../suites/scrub.suite.ts';

// More rows than index entries are gathered of at once. What is checked: a scrub finds every index to be what the rows say.

const rowCount = 140_000;

async function open(t: Test): Promise<PinsetWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-shadow-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const handle = async (): Promise<StoreHandle> => {
    const storage = await lmdbStorage({ path: join(folder, 'store.mdb'), tables: pinsetTables });
    return { storage, reopen: () => storage.close().then(handle) };
  };
  const world = await PinsetWorld.open(await handle(), {
    indexedMetadata: ['owner'],
    scrubRowsPerSecondMax: 100_000_000,
  });
  t.teardown(() => world.storage.close());
  return world;
}

function rowsOf(world: PinsetWorld) {
  return Array.from({ length: rowCount }, (_, i) => ({
    key: world.key(i),
    row: [world.dot(1, { name: `pin ${i}`, createdMs: 1_000 + (i % 977), metadata: [['owner', `${i % 7}`]] })],
  })).sort((a, b) => Buffer.compare(a.key, b.key));
}

/** Appends the buckets in so many steps, with `between` after each. */
async function filled(
  world: PinsetWorld,
  rows: readonly { key: Uint8Array; row: PinRow }[],
  steps: number,
  between: () => Promise<void>,
): Promise<void> {
  world.pinset.shadow.begin();
  for (let step = 1, at = 0; step <= steps; step++) {
    const to = Math.floor((bucketCount * step) / steps);
    const end = rows.findIndex(({ key }, i) => i >= at && bucketOf(key) >= to);
    const piece = rows.slice(at, end < 0 ? undefined : end);
    at += piece.length;
    await world.storage.transaction((tx) => world.pinset.shadow.append(tx, piece, to)).committed;
    await between();
  }
}

async function swappedIn(t: Test, world: PinsetWorld): Promise<void> {
  while (!(await world.pinset.shadow.buildIndexes()));
  await world.storage.transaction((tx) => world.pinset.shadow.swap(tx, 'everything')).flushed;
  t.equal(world.pinset.count(), rowCount);
  t.same(await scrubbed(world), []);
}

t.test('filled at once: entries are put along with further rows', async (t) => {
  const world = await open(t);
  await filled(world, rowsOf(world), 40, async () => {});
  await swappedIn(t, world);
});

t.test('filled, opened again and again while its indexes are built: rows are read again', async (t) => {
  const world = await open(t);
  let step = 0;
  await filled(world, rowsOf(world), 40, async () => {
    if (step++ % 17 === 0) await world.restart();
  });
  await world.restart();
  for (let call = 1, done = false; !done; call++) {
    done = await world.pinset.shadow.buildIndexes();
    if (call === 29 || call === 50) await world.restart();
  }
  await swappedIn(t, world);
});

t.test('filled while rows of it change', async (t) => {
  const world = await open(t);
  const rows = rowsOf(world);
  let step = 0;
  await filled(world, rows, 40, async () => {
    const { shadow } = world.pinset;
    if (step++ % 7 !== 0) return;
    while (!(await shadow.buildIndexes()));
    const changes = rows
      .filter(({ key }, i) => bucketOf(key) < shadow.nextBucket && i % 501 === 0)
      .map(({ key }) => ({ key, after: [world.dot(2, { name: `changed at ${step}` })] }));
    world.storage.transaction((tx) =>
      shadow.write(
        tx,
        changes.map(({ key, after }) => ({ key, before: shadow.row(tx, key), after })),
      ),
    );
  });
  await swappedIn(t, world);
});
