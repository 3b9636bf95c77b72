import t from 'tap';
import { defaultsOf } from '../../../src/config/option.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { trackerOptions } from '../../../src/tracker/options.ts';
import { StatusIndex } from '../../../src/tracker/status-index.ts';
import { trackerTables } from '../../../src/tracker/tables.ts';
import { pinnedRow } from '../../../src/tracker/wish.ts';
import { seededRandom, virtualTime } from '../../support/virtual-time.ts';

const cidOf = (n: number) => new Uint8Array(36).fill(n);
const cid = cidOf(1);

function index(events: { onFlushed(): void; onFailure(error: unknown): void; isBusy?: () => boolean }) {
  const time = virtualTime();
  const storage = memoryStorage({ tables: trackerTables, flush: 'auto' });
  const needs = {
    storage,
    clock: time.clock,
    timers: time.timers,
    random: seededRandom(1),
    logger: silentLogger,
    history: () => new Uint8Array(16),
  };
  const rows = new StatusIndex(defaultsOf(trackerOptions), needs, { onGroup() {}, isBusy: () => false, ...events });
  rows.open();
  return { rows, time, storage };
}

t.test('a store that fails right after a flush is a failure like any other', async (t) => {
  const failures: unknown[] = [];
  const { rows, time } = index({
    onFlushed() {
      throw new Error('the store cannot be read any more');
    },
    onFailure: (error) => failures.push(error),
  });
  rows.put(cid, pinnedRow('recursive', 1));
  await time.advance(100);
  t.match(failures, [{ message: 'the store cannot be read any more' }]);
  await t.rejects(rows.settled(), { message: 'the store cannot be read any more' });
});

t.test('stopped, it leaves no timer', async (t) => {
  const { rows, time } = index({ onFlushed() {}, onFailure: (error) => t.fail(String(error)) });
  rows.put(cid, pinnedRow('recursive', 1));
  await rows.stop();
  t.equal(rows.flushed(cid)?.status, 'pinned');
  rows.nudge();
  await rows.stop();
  t.equal(time.pending(), 0);
});

t.test('while more is under way rows are written in fewer groups, the last ones at once', async (t) => {
  let isBusy = true;
  let groups = 0;
  const onFlushed = () => void groups++;
  const { rows, time } = index({ isBusy: () => isBusy, onFlushed, onFailure: (error) => t.fail(String(error)) });
  for (let n = 1; n <= 100; n++) {
    rows.put(cidOf(n), pinnedRow('recursive', n));
    await time.advance(4);
  }
  t.ok(groups >= 9 && groups <= 11, `${groups} groups in 400 ms`);
  t.equal(rows.flushed(cidOf(1))?.status, 'pinned');
  const before = groups;
  rows.put(cidOf(101), pinnedRow('recursive', 1));
  isBusy = false;
  rows.put(cidOf(102), pinnedRow('recursive', 1));
  await time.advance(3);
  t.equal(groups, before + 1, 'nothing else is to be expected');
  t.equal(rows.flushed(cidOf(102))?.status, 'pinned');
  isBusy = true;
  for (let n = 0; n < 256; n++) rows.put(Uint8Array.of(...cid, n), pinnedRow('recursive', 1));
  await time.advance(3);
  t.equal(groups, before + 2, 'enough for a group');
  await rows.stop();
});
