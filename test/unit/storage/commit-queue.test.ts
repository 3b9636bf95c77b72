import t from 'tap';
import { CommitQueue } from '../../../src/storage/lmdb/commit-queue.ts';
import { FLUSHED, type NativeRoot, VISIBLE } from '../../../src/storage/lmdb/native.ts';
import { bytes, codeOf, text } from '../../suites/storage.suite.ts';

const NO_SPACE = 28;

/** A queue on an LMDB that does what the test says, in whatever order its threads might. */
function setUp() {
  const started: ((status: number) => void)[] = [];
  let resets = 0;
  const root = {
    env: { address: 1, startWriting: (_address: number, onStatus: (status: number) => void) => started.push(onStatus) },
    resetReadTxn: () => resets++,
  };
  const queue = new CommitQueue(root as unknown as NativeRoot);
  const put = (key: string) => {
    queue.batch.put(1, true, bytes(key), bytes('1'));
    return stateOf(queue.queued());
  };
  const tell = async (index: number, status: number) => {
    started[index]?.(status);
    await turn();
  };
  return { queue, started, put, tell, resets: () => resets };
}

function stateOf(commit: { committed: Promise<void>; flushed: Promise<void> }) {
  const state = { committed: 'open', flushed: 'open' };
  for (const point of ['committed', 'flushed'] as const) {
    commit[point].then(
      () => {
        state[point] = 'done';
      },
      () => {
        state[point] = 'failed';
      },
    );
  }
  return state;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

t.test('transactions of one run go together; the next group starts when the one before it is visible', async (t) => {
  const { started, put, tell } = setUp();
  const [first, second] = [put('1'), put('2')];
  await turn();
  t.equal(started.length, 1);
  const third = put('3');
  await turn();
  t.equal(started.length, 1, 'the third waits');
  await tell(0, VISIBLE);
  t.same(
    [first, second, third].map(({ committed }) => committed),
    ['done', 'done', 'open'],
  );
  t.equal(started.length, 2, 'while the first is being flushed');
  const fourth = put('4');
  await tell(1, VISIBLE);
  t.equal(started.length, 2, 'two are in flight');
  await tell(0, FLUSHED);
  t.equal(started.length, 3);
  t.same(
    [first, second, third, fourth].map(({ flushed }) => flushed),
    ['done', 'done', 'open', 'open'],
  );
});

t.test('flushed is told in order, even when LMDB tells it in another', async (t) => {
  const { put, tell } = setUp();
  const first = put('1');
  await turn();
  await tell(0, VISIBLE);
  const second = put('2');
  await turn();
  await tell(1, VISIBLE);
  await tell(1, FLUSHED);
  t.same([first.flushed, second.flushed], ['open', 'open']);
  await tell(0, FLUSHED);
  t.same([first.flushed, second.flushed], ['done', 'done']);
});

t.test('a flush that fails is not made good by a later one that succeeds', async (t) => {
  const { queue, put, tell } = setUp();
  const first = put('1');
  await turn();
  await tell(0, VISIBLE);
  const second = put('2');
  await turn();
  await tell(1, VISIBLE);
  await tell(1, FLUSHED);
  await tell(0, NO_SPACE);
  t.same(first, { committed: 'done', flushed: 'failed' });
  t.same(second, { committed: 'done', flushed: 'failed' });
  t.equal(queue.failure?.code, 'STORAGE_FAILED');
  await queue.idle();
});

t.test('FLUSHED may come without VISIBLE', async (t) => {
  const { put, tell, resets } = setUp();
  const first = put('1');
  await turn();
  await tell(0, FLUSHED);
  t.same(first, { committed: 'done', flushed: 'done' });
  t.equal(resets(), 1);
});

t.test('what is queued is found until it is visible', async (t) => {
  const { queue, put, tell } = setUp();
  put('1');
  await turn();
  put('2');
  t.equal(text(queue.find(1, bytes('1')) ?? undefined), '1');
  t.equal(text(queue.find(1, bytes('2')) ?? undefined), '1');
  t.equal(queue.find(2, bytes('1')), undefined, 'another table');
  queue.batch.remove(1, true, bytes('1'));
  t.equal(queue.find(1, bytes('1')), null);
  await tell(0, VISIBLE);
  t.equal(queue.find(1, bytes('1')), null);
  await tell(1, VISIBLE);
  t.equal(queue.find(1, bytes('1')), undefined);
  t.equal(queue.find(1, bytes('2')), undefined);
});

t.test(
  'a write that fails takes everything with it that is not flushed; idle waits for what is in flight',
  async (t) => {
    const { queue, started, put, tell } = setUp();
    const first = put('1');
    await turn();
    await tell(0, VISIBLE);
    const second = put('2');
    await turn();
    const third = put('3');
    await tell(0, NO_SPACE);
    t.same(
      [first, second, third].map(({ flushed }) => flushed),
      ['failed', 'failed', 'failed'],
    );
    let idle = false;
    const waiting = queue.idle().then(() => {
      idle = true;
    });
    await turn();
    t.notOk(idle, 'the second is still being written');
    await tell(1, FLUSHED);
    await waiting;
    t.equal(started.length, 2, 'the third was never begun');
    t.equal(await codeOf(() => queue.newest().flushed), 'STORAGE_FAILED');
  },
);
