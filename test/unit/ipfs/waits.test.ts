import t from 'tap';
import { forEachLimited } from '../../../src/ipfs/for-each-limited.ts';
import { stallWatch } from '../../../src/ipfs/stall-watch.ts';
import { Turns } from '../../../src/ipfs/turns.ts';

const forever = new AbortController().signal;

/** A clock that goes on when told. */
function manualTime() {
  let nowMs = 0;
  const timers = new Set<{ atMs: number; fn: () => void }>();
  return {
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    timers: {
      after(delayMs: number, fn: () => void) {
        const timer = { atMs: nowMs + delayMs, fn };
        timers.add(timer);
        return { cancel: () => void timers.delete(timer) };
      },
    },
    pending: () => timers.size,
    go(ms: number) {
      const endMs = nowMs + ms;
      for (;;) {
        const [next] = [...timers].filter((timer) => timer.atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
        if (next === undefined) break;
        timers.delete(next);
        nowMs = next.atMs;
        next.fn();
      }
      nowMs = endMs;
    },
  };
}

function watched(stallTimeoutMs: number) {
  const time = manualTime();
  const events: string[] = [];
  const watch = stallWatch(time, {
    stallTimeoutMs,
    onQuiet: () => events.push('quiet'),
    onStalled: () => events.push('stalled'),
  });
  return { time, events, watch };
}

t.test('without progress: quiet at half of it, stalled after all of it, each once', async (t) => {
  const { time, events } = watched(1_000);
  time.go(499);
  t.same(events, []);
  time.go(10);
  t.same(events, ['quiet']);
  time.go(480);
  t.same(events, ['quiet']);
  time.go(5_000);
  t.same(events, ['quiet', 'stalled']);
  t.equal(time.pending(), 0);
});

t.test('progress puts both off, and makes quiet news again', async (t) => {
  const { time, events, watch } = watched(1_000);
  for (let i = 0; i < 20; i++) {
    time.go(400);
    watch.progress();
  }
  t.same(events, []);
  time.go(700);
  t.same(events, ['quiet']);
  watch.progress();
  time.go(900);
  t.same(events, ['quiet', 'quiet']);
  time.go(200);
  t.same(events, ['quiet', 'quiet', 'stalled']);
});

t.test('a watch that is stopped is silent', async (t) => {
  const { time, events, watch } = watched(1_000);
  watch.stop();
  time.go(5_000);
  t.same(events, []);
  t.equal(time.pending(), 0);
});

t.test('what has one key takes turns, others do not wait', async (t) => {
  const turns = new Turns();
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = turns.run('a', forever, async () => {
    log.push('first begins');
    await gate.promise;
    log.push('first ends');
  });
  const second = turns.run('a', forever, async () => void log.push('second'));
  await turns.run('b', forever, async () => void log.push('other'));
  t.same(log, ['first begins', 'other']);
  gate.resolve();
  await Promise.all([first, second]);
  t.same(log, ['first begins', 'other', 'first ends', 'second']);
});

t.test('a turn that fails or is given up does not hold up the next', async (t) => {
  const turns = new Turns();
  const gate = Promise.withResolvers<void>();
  const controller = new AbortController();
  const first = turns.run('a', forever, () => gate.promise);
  const givenUp = turns.run('a', controller.signal, async () => t.fail('it has no turn'));
  const third = turns.run('a', forever, async () => 3);
  controller.abort(new Error('given up'));
  await t.rejects(givenUp, /given up/);
  let isThirdOver = false;
  third.finally(() => {
    isThirdOver = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(isThirdOver, 'the third still waits for the first');
  gate.reject(new Error('first failed'));
  await t.rejects(first, /first failed/);
  t.equal(await third, 3);
});

t.test('forEachLimited runs so many at once, and ends with the first failure', async (t) => {
  let running = 0;
  let runningMax = 0;
  const seen: number[] = [];
  await forEachLimited([1, 2, 3, 4, 5], 2, async (item) => {
    runningMax = Math.max(runningMax, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    seen.push(item);
  });
  t.same(seen, [1, 2, 3, 4, 5]);
  t.equal(runningMax, 2);
  const begun: number[] = [];
  const failing = forEachLimited([1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item);
    await new Promise((resolve) => setImmediate(resolve));
    if (item === 1) throw new Error('one');
  });
  await t.rejects(failing, /one/);
  t.ok(begun.length < 5, 'no more are begun');
});
