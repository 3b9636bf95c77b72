import { getEventListeners } from 'node:events';
import t from 'tap';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { deadlineSignal, mergeSignals, raceSignal } from '../../../src/runtime/abort.ts';
import type { Timers } from '../../../src/runtime/clock.ts';

/** Timers that fire when the test says so. */
function manualTimers(): Timers & { fire(): void; readonly pending: number } {
  const pending = new Set<() => void>();
  return {
    after(_delayMs, fn) {
      pending.add(fn);
      return { cancel: () => pending.delete(fn) };
    },
    fire() {
      for (const fn of [...pending]) {
        pending.delete(fn);
        fn();
      }
    },
    get pending() {
      return pending.size;
    },
  };
}

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

t.test('a merged signal aborts with the reason of the first source and lets go of the others', async (t) => {
  const a = new AbortController();
  const b = new AbortController();
  const merged = mergeSignals(a.signal, undefined, b.signal);
  t.equal(merged.signal.aborted, false);
  b.abort('b');
  a.abort('a');
  t.equal(merged.signal.reason, 'b');
  t.equal(listeners(a.signal), 0);
});

t.test('a merged signal of an aborted source is aborted and listens to nothing', async (t) => {
  const a = new AbortController();
  const merged = mergeSignals(a.signal, AbortSignal.abort('gone'));
  t.equal(merged.signal.reason, 'gone');
  t.equal(listeners(a.signal), 0);
});

t.test('disposing leaves no listener on a long-lived source, and no timer', async (t) => {
  const timers = manualTimers();
  const source = new AbortController();
  for (let i = 0; i < 100; i++) {
    using scope = deadlineSignal(timers, 1000, source.signal);
    t.notOk(scope.signal.aborted);
  }
  t.equal(listeners(source.signal), 0);
  t.equal(timers.pending, 0);
  source.abort();
});

t.test('a deadline aborts with DEADLINE', async (t) => {
  const timers = manualTimers();
  using scope = deadlineSignal(timers, 50);
  timers.fire();
  t.ok(isPinfoldError(scope.signal.reason, 'DEADLINE'));
});

t.test('a deadline leaves the abort of its source as it was, and needs no timer then', async (t) => {
  const timers = manualTimers();
  using scope = deadlineSignal(timers, 50, AbortSignal.abort('mine'));
  t.equal(scope.signal.reason, 'mine');
  t.equal(timers.pending, 0);
});

t.test('a race gives the value, the failure or the reason, and leaves no listener', async (t) => {
  const { signal } = new AbortController();
  t.equal(await raceSignal(Promise.resolve(1), signal), 1);
  await t.rejects(raceSignal(Promise.reject(new Error('no')), signal), { message: 'no' });
  t.equal(listeners(signal), 0);
  const never = new Promise<never>(() => {});
  const controller = new AbortController();
  const race = raceSignal(never, controller.signal);
  controller.abort(new Error('stop'));
  await t.rejects(race, { message: 'stop' });
  await t.rejects(raceSignal(never, controller.signal), { message: 'stop' });
  t.equal(await raceSignal(Promise.resolve(2), undefined), 2);
});

t.test("a failure after the race was lost is nobody's unhandled rejection", async (t) => {
  const { promise, reject } = Promise.withResolvers<void>();
  await t.rejects(raceSignal(promise, AbortSignal.abort(new Error('stop'))), { message: 'stop' });
  reject(new Error('late'));
  await new Promise((resolve) => setImmediate(resolve));
});
