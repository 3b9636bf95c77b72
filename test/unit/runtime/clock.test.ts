import t from 'tap';
import { sleep, systemTimers } from '../../../src/runtime/clock.ts';

t.test('a timer of 0 ms fires in the next turn, also where nothing else happens in the process', async (t) => {
  let hasWoken = false;
  // What would wake an event loop that waits.
  const wake = setTimeout(() => {
    hasWoken = true;
  }, 5_000);
  // More than one: the turn in which a test begins may be followed by another anyway.
  for (let i = 0; i < 20; i++) await sleep(systemTimers, 0);
  clearTimeout(wake);
  t.equal(hasWoken, false);
});
