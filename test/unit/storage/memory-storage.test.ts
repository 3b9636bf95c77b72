import t from 'tap';
import { memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { bytes, codeOf, storageSuite, text } from '../../suites/storage.suite.ts';

t.test('contract', (t) => {
  storageSuite(t, async (_t, tables) => memoryStorage({ tables, flush: 'auto' }));
  t.end();
});

const tables = [{ name: 'a' }];

function put(storage: ReturnType<typeof memoryStorage>, key: string) {
  return storage.transaction((tx) => tx.put('a', bytes(key), bytes('1')));
}

function keys(storage: ReturnType<typeof memoryStorage>) {
  return Array.from(storage.read.range('a'), ({ key }) => text(key));
}

t.test('manual: transactions are committed and flushed when the control says so, oldest first', async (t) => {
  const storage = memoryStorage({ tables, flush: 'manual' });
  const [first, second] = [put(storage, 'k1'), put(storage, 'k2')];
  let flushed = 0;
  for (const commit of [first, second]) commit.flushed.then(() => flushed++);
  t.same(storage.control.pending(), { queued: 2, committed: 0 });
  t.same(keys(storage), []);
  storage.control.commit(1);
  await first.committed;
  t.same(keys(storage), ['k1']);
  storage.control.commit();
  await second.committed;
  t.same(storage.control.pending(), { queued: 0, committed: 2 });
  t.equal(flushed, 0);
  storage.control.flush(1);
  await first.flushed;
  t.equal(flushed, 1);
  const third = put(storage, 'k3');
  storage.control.flush();
  await third.flushed;
  t.equal(flushed, 2);
  t.same(keys(storage), ['k1', 'k2', 'k3']);
});

t.test('manual: a snapshot waits for the flush of its state, and no longer', async (t) => {
  const storage = memoryStorage({ tables, flush: 'manual' });
  put(storage, 'k1');
  storage.control.commit();
  let taken = false;
  const snapshot = storage.snapshot().then((snapshot) => {
    taken = true;
    return snapshot;
  });
  put(storage, 'k2');
  await null;
  t.notOk(taken);
  storage.control.flush(1);
  t.equal(text((await snapshot).get('a', bytes('k1'))), '1');
  t.equal((await snapshot).get('a', bytes('k2')), undefined);
});

t.test('a crash of the machine loses what was not flushed, one of the process what was not committed', async (t) => {
  const make = () => {
    const storage = memoryStorage({ tables, flush: 'manual' });
    put(storage, 'flushed');
    storage.control.flush();
    const pending = [put(storage, 'committed')];
    storage.control.commit();
    pending.push(put(storage, 'queued'));
    return { storage, pending };
  };
  const { storage, pending } = make();
  const after = storage.control.crash();
  t.same(keys(after), ['flushed']);
  for (const { flushed } of pending) t.equal(await codeOf(() => flushed), 'STORAGE_FAILED');
  t.equal(await codeOf(() => put(storage, 'k')), 'STORAGE_FAILED');
  put(after, 'k');
  after.control.flush();
  t.same(keys(after), ['flushed', 'k']);
  t.same(keys(make().storage.control.crash('process')), ['committed', 'flushed']);
});

t.test('a full disk: nothing of what is queued is written, and the store has failed', async (t) => {
  const storage = memoryStorage({ tables, flush: 'auto' });
  await put(storage, 'k1').flushed;
  storage.control.failNextCommit();
  const commit = put(storage, 'k2');
  t.equal(await codeOf(() => commit.committed), 'STORAGE_FAILED');
  t.equal(await codeOf(() => commit.flushed), 'STORAGE_FAILED');
  for (const fn of [() => put(storage, 'k3'), () => storage.read.get('a', bytes('k1')), () => storage.snapshot()]) {
    t.equal(await codeOf(fn), 'STORAGE_FAILED');
  }
  await storage.close();
  t.same(keys(storage.control.crash()), ['k1']);
});

t.test('a broken disk: committed, and never flushed', async (t) => {
  const storage = memoryStorage({ tables, flush: 'auto' });
  storage.control.failNextFlush();
  const commit = put(storage, 'k1');
  await commit.committed;
  t.equal(await codeOf(() => commit.flushed), 'STORAGE_FAILED');
  t.equal(await codeOf(() => storage.flushed()), 'STORAGE_FAILED');
  t.same(keys(storage.control.crash()), []);
});

t.test('a copy has what is flushed, and the two go on apart', async (t) => {
  const storage = memoryStorage({ tables, flush: 'manual' });
  put(storage, 'k1');
  storage.control.flush();
  put(storage, 'k2');
  storage.control.commit();
  const copy = storage.control.copy();
  t.same(keys(copy), ['k1']);
  put(copy, 'k3');
  copy.control.flush();
  storage.control.flush();
  t.same(keys(copy), ['k1', 'k3']);
  t.same(keys(storage), ['k1', 'k2']);
});

t.test('damage is beneath the transactions: what was flushed, and what a later one has not written anew', async (t) => {
  const storage = memoryStorage({ tables, flush: 'manual' });
  for (const key of ['k1', 'k2', 'k3']) put(storage, key);
  storage.control.flush();
  storage.transaction((tx) => tx.put('a', bytes('k1'), bytes('2')));
  storage.control.commit();
  put(storage, 'k4');
  for (const key of ['k1', 'k2']) storage.control.damage('a', bytes(key), bytes('x'));
  storage.control.damage('a', bytes('k3'), undefined);
  const valuesOf = ({ read }: typeof storage) =>
    Array.from(read.range('a'), ({ key, value }) => `${text(key)}=${text(value)}`);
  t.same(valuesOf(storage), ['k1=2', 'k2=x']);
  t.same(valuesOf(storage.control.copy()), ['k1=x', 'k2=x']);
  storage.control.flush();
  t.same(valuesOf(storage.control.crash()), ['k1=2', 'k2=x', 'k4=1']);
});
