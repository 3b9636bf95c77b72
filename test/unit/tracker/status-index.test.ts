import t from 'tap';
import { defaultsOf } from '../../../src/config/option.ts';
import { memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { trackerOptions } from '../../../src/tracker/options.ts';
import { StatusIndex } from '../../../src/tracker/status-index.ts';
import { trackerTables } from '../../../src/tracker/tables.ts';
import { pinnedRow } from '../../../src/tracker/wish.ts';
import { seededRandom, virtualTime } from '../../support/virtual-time.ts';

const cid = new Uint8Array(36).fill(1);

function index(events: { onFlushed(): void; onFailure(error: unknown): void }) {
  const time = virtualTime();
  const storage = memoryStorage({ tables: trackerTables, flush: 'auto' });
  const needs = {
    storage,
    clock: time.clock,
    timers: time.timers,
    random: seededRandom(1),
    history: () => new Uint8Array(16),
  };
  const rows = new StatusIndex(defaultsOf(trackerOptions), needs, { onGroup() {}, ...events });
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
