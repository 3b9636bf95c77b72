import { setImmediate } from 'node:timers/promises';
import type { Test } from 'tap';
import { bucketOf } from '../../src/model/pin-key.ts';
import type { Finding } from '../../src/pinset/scrub/scrub.ts';
import { differenceOf } from '../../src/pinset/scrub/sum.ts';
import { pinsetTables, tableSets } from '../../src/pinset/tables.ts';
import type { StoreFactory } from './pinset.suite.ts';
import { PinsetWorld, settled } from './pinset-world.ts';

const forever = new AbortController().signal;

/** The contract of src/pinset/scrub/scrub.ts and of `Pinset.mend`, on any storage. */
export function scrubSuite(t: Test, factory: StoreFactory): void {
  const open = async (t: Test, init = {}) =>
    PinsetWorld.open(await factory(t, pinsetTables), { scrubRowsPerSecondMax: 1_000_000, ...init });
  t.test('rows', (t) => rowCases(t, open));
  t.test('indexes', (t) => indexCases(t, open));
  t.test('mending', (t) => mendingCases(t, open));
}

type Open = (t: Test, init?: object) => Promise<PinsetWorld>;

/** A whole scrub, on virtual time. */
export async function scrubbed(world: PinsetWorld): Promise<readonly Finding[]> {
  const run = async () => {
    for await (const { done, of } of world.pinset.scrub.run({ signal: forever })) {
      if (done > of) throw new Error('more than all');
    }
  };
  await pumped(world, run());
  return world.pinset.scrub.findings().findings;
}

/** Lets virtual time pass until it is done. */
async function pumped<T>(world: PinsetWorld, work: Promise<T>): Promise<T> {
  let isDone = false;
  work.finally(() => {
    isDone = true;
  });
  while (!isDone) await world.time.advance(1_000);
  return work;
}

async function putRaw(
  world: PinsetWorld,
  table: string,
  key: Uint8Array,
  value: Uint8Array | undefined,
): Promise<void> {
  await world.storage.transaction((tx) => (value === undefined ? tx.remove(table, key) : tx.put(table, key, value)))
    .flushed;
  await settled();
}

const rawRows = (world: PinsetWorld) => [...world.storage.read.range('pins_a')];

async function rowCases(t: Test, open: Open): Promise<void> {
  t.test('nothing is found where nothing is wrong, nor while others write', async (t) => {
    const world = await open(t, { indexedMetadata: ['owner'] });
    t.same(await scrubbed(world), [], 'an empty pinset');
    await world.fill(1_000);
    const long = { metadata: [['owner', 'x'.repeat(500)] as const], name: 'é'.repeat(400), expiresMs: 5 };
    world.key(2_000, 'team-a');
    await world.put([{ key: world.key(2_000, 'team-a'), row: [world.dot(1, long), world.dot(2, { name: 'b' })] }]);
    let isDone = false;
    const writing = (async () => {
      for (let i = 0; !isDone; i++) {
        await world.fill(50, 3_000 + (i % 20) * 25);
        await setImmediate();
      }
    })();
    t.same(await scrubbed(world), []);
    isDone = true;
    await writing;
    t.same(await scrubbed(world), []);
  });

  t.test('any flipped bit of a row, and a lost row, is found in its bucket, and no more when it is back', async (t) => {
    const world = await open(t);
    for (const name of ['peer-a', 'peer-b']) world.pinset.names.peers.ensure(name);
    await world.fill(300);
    const victims = rawRows(world).slice(7, 9);
    let kinds = '';
    for (const { key, value } of victims) {
      const bucket = bucketOf(key);
      for (let at = 0; at < value.length; at += 3) {
        const damaged = Uint8Array.from(value);
        damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
        await putRaw(world, 'pins_a', key, damaged);
        await world.pinset.scrub.check([bucket]);
        const found = world.pinset.scrub.findings().findings;
        t.match(
          found.filter(({ kind }) => kind === 'row' || kind === 'sum').map((each) => each.bucket),
          [bucket],
          `byte ${at}`,
        );
        kinds += found[0]?.kind;
      }
      await putRaw(world, 'pins_a', key, undefined);
      await world.pinset.scrub.check([bucket]);
      t.match(world.pinset.scrub.findings().findings, [{ bucket, kind: 'sum' }]);
      await putRaw(world, 'pins_a', key, value);
      await world.pinset.scrub.check([bucket]);
      t.same(world.pinset.scrub.findings().findings, []);
    }
    t.match(kinds, /row/, 'some cannot be decoded');
    t.match(kinds, /sum/, 'some can');
  });

  t.test('a row under a key that is none, and a flipped bit of a key', async (t) => {
    const world = await open(t);
    await world.fill(20);
    const [{ key, value }] = rawRows(world) as [{ key: Uint8Array; value: Uint8Array }];
    const other = Uint8Array.from(key);
    other[12] = (other[12] as number) ^ 4;
    await putRaw(world, 'pins_a', key, undefined);
    await putRaw(world, 'pins_a', other, value);
    const short = Buffer.of(9, 9);
    await putRaw(world, 'pins_a', short, value);
    const found = await scrubbed(world);
    t.ok(found.some(({ bucket, kind }) => bucket === bucketOf(key) && kind === 'row'));
    t.ok(found.some(({ bucket, kind }) => bucket === bucketOf(short) && kind === 'row'));
  });

  t.test(
    'findings outlive a restart as damage does, and a digest is counted anew without what cannot be read',
    async (t) => {
      const world = await open(t);
      await world.fill(20);
      const key = rawRows(world)[0]?.key as Uint8Array;
      await putRaw(world, 'pins_a', key, Buffer.of(0xff));
      await world.restart();
      t.match(await scrubbed(world), [{ bucket: bucketOf(key), kind: 'row' }]);
      const first = [...world.storage.read.range('pinset_feed', { limit: 1 })][0]?.key as Uint8Array;
      await putRaw(world, 'pinset_feed', first, undefined);
      await putRaw(world, 'pinset_state', Buffer.from('checkpoint'), undefined);
      await pumped(world, world.restart());
      t.match(await scrubbed(world), [{ bucket: bucketOf(key), kind: 'row' }]);
    },
  );

  t.test('a wall clock that jumps makes nothing due', async (t) => {
    const world = await open(t);
    await world.fill(300);
    await world.pinset.start();
    const { key } = rawRows(world)[150] as { key: Uint8Array };
    await putRaw(world, 'pins_a', key, undefined);
    await world.time.advance(1_000);
    // Ten minutes of timers, and a wall clock half a round further: that row among what lies between, or on the other side of it.
    for (const ms of [50, 100]) {
      world.time.jump(ms * 3_600_000);
      await world.time.advance(700_000);
    }
    t.notOk(world.pinset.scrub.findings().findings.some(({ kind }) => kind === 'sum'));
    await world.pinset.stop();
  });

  t.test('the background finds it within a round; two scrubs at once are refused', async (t) => {
    const world = await open(t, { scrubPercentPerHour: 100 });
    await world.fill(300);
    await world.pinset.start();
    const { key } = rawRows(world)[150] as { key: Uint8Array };
    await putRaw(world, 'pins_a', key, undefined);
    const kinds = new Set<string>();
    world.pinset.scrub.onFindings(() => {
      for (const { bucket, kind } of world.pinset.scrub.findings().findings) kinds.add(`${bucket} ${kind}`);
    });
    for (let minutes = 0; minutes <= 75; minutes++) {
      for (let second = 0; second < 60; second++) await world.time.advance(1_000);
    }
    t.same([...kinds].sort(), [`${bucketOf(key)} orphan`, `${bucketOf(key)} sum`]);
    const first = world.pinset.scrub.run({ signal: forever });
    await first.next();
    await t.rejects(world.pinset.scrub.run({ signal: forever }).next(), { code: 'LIMIT_REACHED' });
    await first.return(undefined);
    const stopped = world.pinset.scrub.run({ signal: AbortSignal.abort(new Error('enough')) });
    await t.rejects(stopped.next(), /enough/);
    await world.pinset.stop();
  });
}

async function indexCases(t: Test, open: Open): Promise<void> {
  t.test('a lost entry and an entry of no pin, of every index, are found and mended', async (t) => {
    const world = await open(t, { indexedMetadata: ['owner', 'x'] });
    await world.fill(600);
    const fields = { name: 'n\0n', expiresMs: 9, metadata: [['owner', 'a'.repeat(300)] as const, ['x', ''] as const] };
    await world.put([{ key: world.key(1_000, 'team-a'), row: [world.dot(1, fields)] }]);
    const tables = ['pins_by_name_a', 'pins_by_created_a', 'pins_by_expiry_a', 'pins_by_metadata_a'];
    const all = () =>
      tables.map((table) => [...world.storage.read.range(table)].map(({ key }) => Buffer.from(key).toString('hex')));
    const before = all();
    for (const table of tables) {
      const entry = [...world.storage.read.range(table)].at(-1)?.key as Uint8Array;
      await putRaw(world, table, entry, undefined);
      const found = await scrubbed(world);
      t.match(
        found.map(({ kind }) => kind),
        ['index'],
        `${table}: lost`,
      );
      const strange = Uint8Array.from(entry);
      const at = table === 'pins_by_name_a' || table === 'pins_by_metadata_a' ? strange.length - 6 : 8;
      strange[at] = (strange[at] as number) ^ 1;
      await putRaw(world, table, strange, new Uint8Array(0));
      t.match((await scrubbed(world)).map(({ kind }) => kind).sort(), ['index', 'orphan'], `${table}: of no pin`);
      t.match(await pumped(world, world.pinset.scrub.mendIndexes({ signal: forever })), { removed: 1 });
      t.same(all(), before);
      t.same(await scrubbed(world), []);
    }
  });
}

async function mendingCases(t: Test, open: Open): Promise<void> {
  t.test('rows come back, the digest is theirs again, the feed names them, and a restart sees the same', async (t) => {
    const world = await open(t);
    await world.fill(50);
    const root = world.pinset.digest.root();
    const [lost, unreadable, whole] = rawRows(world).map(({ key }) => key) as [Uint8Array, Uint8Array, Uint8Array];
    const rows = await withRows(world, [lost, unreadable]);
    await putRaw(world, 'pins_a', lost, undefined);
    await putRaw(world, 'pins_a', unreadable, Buffer.of(0xff));
    const snapshot = await world.pinset.snapshot();
    const corrections = [...new Set([bucketOf(lost), bucketOf(unreadable)])].map((bucket) => {
      const { sum, digest } = world.pinset.scrub.read(snapshot, bucket);
      return { bucket, add: differenceOf(sum, digest) };
    });
    snapshot.close();
    const mending = {
      set: tableSets.a,
      changes: [{ key: lost, before: [], after: rows[0] ?? [] }],
      unreadable: [{ key: unreadable, after: rows[1] ?? [] }],
      corrections,
    };
    t.throws(() =>
      world.storage.transaction((tx) => {
        world.pinset.mend(tx, mending);
        throw new Error('given up');
      }),
    );
    await settled();
    t.same(world.pinset.digest.root(), root, 'as before');
    const revision = world.pinset.feed.revision;
    const { flushed } = world.storage.transaction((tx) => world.pinset.mend(tx, mending));
    // Before it is committed a snapshot shows the old rows with the old digest.
    const between = await world.pinset.snapshot();
    const seen = world.pinset.scrub.read(between, bucketOf(lost));
    t.ok(between.revision > revision || seen.digest !== seen.sum);
    between.close();
    await flushed;
    await settled();
    t.same(world.pinset.digest.root(), root);
    t.same(await scrubbed(world), []);
    const named = (world.pinset.feed.read(revision, 10) as { keys: Uint8Array[] }[]).flatMap(({ keys }) => keys);
    t.same(
      named.map((key) => Buffer.from(key).toString('hex')).sort(),
      [lost, unreadable].map((key) => Buffer.from(key).toString('hex')).sort(),
    );
    world.handle = await world.handle.reopen();
    const again = await PinsetWorld.open(world.handle, world.init, world.time);
    t.same(again.pinset.digest.root(), root, 'after a crash');
    t.same(await scrubbed(again), []);
    t.ok(again.pinset.get(whole));
    await again.restart();
    t.same(again.pinset.digest.root(), root, 'after a stop');
  });

  t.test('what was found in a set that is not live any more is not mended', async (t) => {
    const world = await open(t);
    await world.fill(3);
    const mending = { set: tableSets.b, changes: [], unreadable: [], corrections: [] };
    t.throws(() => world.storage.transaction((tx) => world.pinset.mend(tx, mending)), { code: 'LIMIT_REACHED' });
  });

  t.test('an unreadable row that has no successor goes, and its key is told if it is one', async (t) => {
    const world = await open(t);
    await world.fill(3);
    const key = rawRows(world)[0]?.key as Uint8Array;
    const strange = Buffer.of(1, 2, 3);
    for (const damaged of [key, strange]) await putRaw(world, 'pins_a', damaged, Buffer.of(0xff));
    t.throws(() => world.storage.transaction((tx) => world.pinset.row(tx, key)), { code: 'DATA_CORRUPT' });
    const unreadable = [key, strange].map((each) => ({ key: each, after: [] }));
    await world.storage.transaction((tx) =>
      world.pinset.mend(tx, { set: tableSets.a, changes: [], unreadable, corrections: [] }),
    ).flushed;
    await settled();
    t.equal(rawRows(world).length, 2);
    const told = world.pinset.feed.read(1, 10) as { keys: Uint8Array[] }[];
    t.same(
      told.flatMap(({ keys }) => keys.map((each) => Buffer.from(each))),
      [Buffer.from(key)],
    );
  });
}

async function withRows(world: PinsetWorld, keys: readonly Uint8Array[]) {
  const { value, committed } = world.storage.transaction((tx) => keys.map((key) => world.pinset.row(tx, key)));
  await committed;
  return value;
}
