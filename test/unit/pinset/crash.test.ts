import t from 'tap';
import { pinsetTables } from '../../../src/pinset/tables.ts';
import { type MemoryStorage, memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { equal, expectEqual, PinsetModel } from '../../suites/pinset-model.ts';
import { PinsetWorld, type StoreHandle, settled } from '../../suites/pinset-world.ts';
import { fc } from '../../support/fast-check.ts';

type Handle = StoreHandle & { storage: MemoryStorage };

function handle(storage: MemoryStorage): Handle {
  return { storage, reopen: async () => handle(storage.control.crash('machine')) };
}

async function open(): Promise<{ world: PinsetWorld; control: () => MemoryStorage['control'] }> {
  const first = handle(memoryStorage({ tables: pinsetTables, flush: 'manual' }));
  const opening = PinsetWorld.open(first);
  await flushing(first.storage);
  const world = await opening;
  return { world, control: () => (world.storage as MemoryStorage).control };
}

async function flushing(storage: MemoryStorage): Promise<void> {
  for (let i = 0; i < 5; i++) {
    await settled();
    storage.control.flush();
  }
  await settled();
}

t.test(
  'whatever was flushed when the machine stops: rows, indexes, digest, feed and revision are of one moment',
  async () => {
    const step = fc.record({
      act: fc.constantFrom('write', 'write', 'write', 'fail', 'commit', 'flush', 'crash', 'turn', 'checkpoint'),
      content: fc.nat(8),
      removes: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { world, control } = await open();
        // Numbers on the disk before, so that what is lost are writes of pins only.
        const [key, dot] = [(n: number) => world.key(n), (name: string) => world.dot(1, { name })];
        dot('');
        control().flush();
        await settled();
        const history = [new PinsetModel()];
        for (const { act, content, removes } of steps) {
          const newest = history.at(-1) as PinsetModel;
          if (act === 'write' || act === 'fail') {
            const changed = { key: key(content), row: removes ? [] : [dot(`${content}`)] };
            try {
              world.storage.transaction((tx) => {
                const before = world.pinset.row(tx, changed.key);
                world.pinset.write(tx, [{ key: changed.key, before, after: changed.row }]);
                if (act === 'fail') throw new Error('given up');
              });
              const next = newest.copy();
              next.set(changed.key, changed.row);
              history.push(next);
            } catch (error) {
              if (act !== 'fail') throw error;
            }
          } else if (act === 'commit') control().commit(1 + content);
          else if (act === 'flush') control().flush(1 + content);
          else if (act === 'turn') await settled();
          else if (act === 'checkpoint') {
            await settled();
            await world.pinset.start().catch(() => {});
          } else {
            await settled();
            const flushed = world.pinset.feed.flushedRevision;
            const restarting = crash(world);
            await restarting;
            const { revision } = world.pinset.feed;
            if (revision < flushed) throw new Error(`revision ${flushed} was flushed, ${revision} is there`);
            history.length = revision + 1;
            expectEqual(world, history[revision] as PinsetModel);
          }
        }
        await settled();
        control().flush();
        await settled();
        equal('revision', world.pinset.feed.flushedRevision, history.length - 1);
        expectEqual(world, history.at(-1) as PinsetModel);
        const entries = world.pinset.feed.read(0, 1000);
        equal('feed', entries.length, history.length - 1);
      }),
      { numRuns: 150 },
    );
  },
);

async function crash(world: PinsetWorld): Promise<void> {
  const storage = (world.storage as MemoryStorage).control.crash('machine');
  world.handle = handle(storage);
  const opened = PinsetWorld.open(world.handle, {}, world.time);
  await flushing(storage);
  world.pinset = (await opened).pinset;
}

t.test('committed and not flushed: seen, and not told as flushed', async (t) => {
  const { world, control } = await open();
  const change = { key: world.key(1), before: [], after: [world.dot(1, {})] };
  control().flush();
  world.storage.transaction((tx) => world.pinset.write(tx, [change]));
  await settled();
  t.equal(world.pinset.get(change.key), undefined);
  t.equal(world.pinset.feed.revision, 0);
  control().commit();
  await settled();
  t.ok(world.pinset.get(change.key));
  t.equal(world.pinset.feed.revision, 1);
  t.equal(world.pinset.feed.flushedRevision, 0);
  control().flush();
  await settled();
  t.equal(world.pinset.feed.flushedRevision, 1);
});

t.test('a failed write: whoever waits is told, now and later', async (t) => {
  const { world, control } = await open();
  const change = { key: world.key(1), before: [], after: [world.dot(1, {})] };
  control().flush();
  const { signal } = new AbortController();
  const waiting = world.pinset.feed.wait(0, { flushed: false, signal });
  world.storage.transaction((tx) => world.pinset.write(tx, [change]));
  await settled();
  control().failNextCommit();
  control().commit();
  await t.rejects(waiting, { code: 'STORAGE_FAILED' });
  await t.rejects(world.pinset.feed.wait(0, { flushed: true, signal }), { code: 'STORAGE_FAILED' });
});

t.test('a transaction that is given up leaves nothing, even if the next comes before anything else runs', async (t) => {
  const { world, control } = await open();
  const changes = [1, 2].map((n) => ({ key: world.key(n), before: [], after: [world.dot(1, { name: `${n}` })] }));
  const write = (i: number, fails: boolean) =>
    world.storage.transaction((tx) => {
      world.pinset.write(tx, [changes[i] as (typeof changes)[number]]);
      if (fails) throw new Error('given up');
    });
  t.throws(() => write(0, true), /given up/);
  write(1, false);
  t.throws(() => write(0, true), /given up/);
  await settled();
  control().flush();
  await settled();
  t.equal(world.pinset.feed.revision, 1);
  const model = new PinsetModel();
  model.set(world.key(2), changes[1]?.after ?? []);
  expectEqual(world, model);
});
