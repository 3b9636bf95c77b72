import t from 'tap';
import { BoundedQueue } from '../../../src/runtime/bounded-queue.ts';

async function drain<T>(queue: BoundedQueue<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of queue) items.push(item);
  return items;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

t.test('passes everything in order, however small the limit', async (t) => {
  const queue = new BoundedQueue<number>({ limit: 3 });
  const sizes: number[] = [];
  const writing = (async () => {
    for (let i = 0; i < 5000; i++) {
      t.ok(await queue.push(i)) || t.bailout('refused');
      sizes.push(queue.size);
    }
    queue.close();
  })();
  const items = await drain(queue);
  await writing;
  t.strictSame(
    items,
    Array.from({ length: 5000 }, (_, i) => i),
  );
  t.ok(Math.max(...sizes) <= 3, 'never above the limit');
});

t.test('offer refuses at the limit and changes nothing', async (t) => {
  const queue = new BoundedQueue<string>({ limit: 2 });
  t.ok(queue.offer('a'));
  t.ok(queue.offer('b'));
  t.notOk(queue.offer('c'));
  queue.close();
  t.strictSame(await drain(queue), ['a', 'b']);
});

t.test('counts in the unit given; an item above the limit passes alone', async (t) => {
  const sizes: number[] = [];
  const queue = new BoundedQueue<string>({
    limit: 4,
    sizeOf: (text) => text.length,
    onSize: (size) => sizes.push(size),
  });
  t.ok(queue.offer('too long'));
  t.notOk(queue.offer('x'));
  const reading = drain(queue);
  t.ok(await queue.push('xx'));
  t.ok(await queue.push('yy'));
  queue.close();
  t.strictSame(await reading, ['too long', 'xx', 'yy']);
  t.equal(sizes.at(0), 8);
  t.equal(sizes.at(-1), 0);
});

t.test('a waiting writer leaves with its signal; its item is not taken', async (t) => {
  const queue = new BoundedQueue<number>({ limit: 1 });
  queue.offer(1);
  const controller = new AbortController();
  const waiting = queue.push(2, { signal: controller.signal });
  controller.abort(new Error('stop'));
  await t.rejects(waiting, { message: 'stop' });
  await t.rejects(queue.push(3, { signal: controller.signal }), { message: 'stop' });
  queue.close();
  t.strictSame(await drain(queue), [1]);
});

t.test('closing wakes waiting writers with false, and they are not taken', async (t) => {
  const queue = new BoundedQueue<number>({ limit: 1 });
  queue.offer(1);
  const waiting = queue.push(2);
  queue.close();
  queue.close();
  t.equal(await waiting, false);
  t.equal(await queue.push(3), false);
  t.equal(queue.offer(4), false);
  t.strictSame(await drain(queue), [1]);
});

t.test('failing drops what waits and reaches a reader that waits', async (t) => {
  const idle = new BoundedQueue<number>({ limit: 1 });
  const reading = drain(idle);
  await turn();
  idle.fail(new Error('broken'));
  await t.rejects(reading, { message: 'broken' });

  const full = new BoundedQueue<number>({ limit: 1 });
  full.offer(1);
  full.fail(new Error('broken'));
  t.equal(full.size, 0);
  await t.rejects(drain(full), { message: 'broken' });
});

t.test('a reader that leaves closes the queue', async (t) => {
  const queue = new BoundedQueue<number>({ limit: 2 });
  queue.offer(1);
  queue.offer(2);
  const waiting = queue.push(3);
  for await (const item of queue) {
    t.equal(item, 1);
    break;
  }
  t.ok(queue.isClosed);
  t.equal(queue.size, 0);
  t.notOk(queue.offer(4));
  await waiting;
});

t.test('takes one reader only', async (t) => {
  const queue = new BoundedQueue<number>({ limit: 2 });
  queue.close();
  await drain(queue);
  await t.rejects(drain(queue), { message: /already has a reader/ });
});
