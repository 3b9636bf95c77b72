import t from 'tap';
import { CollectionGate } from '../../../src/ipfs/kubo/collection-gate.ts';
import { Condition } from '../../../src/ipfs/kubo/condition.ts';
import { Slots } from '../../../src/ipfs/kubo/slots.ts';
import { raceSignal } from '../../../src/runtime/abort.ts';
import { virtualTime } from '../../support/virtual-time.ts';

const forever = new AbortController().signal;

function condition() {
  const time = virtualTime();
  const one = new Condition({ restartMs: 1_000 }, time);
  const seen: string[] = [];
  one.onChange(({ name }) => seen.push(name));
  return { time, one, seen };
}

t.test('a node that is gone restarts for a while, then it is down', async (t) => {
  const { time, one, seen } = condition();
  one.answers(undefined);
  one.absent('gone');
  await time.advance(900);
  one.absent('still gone');
  const settled = one.settled(forever);
  const { down } = one;
  t.notOk(down.aborted);
  await time.advance(100);
  await settled;
  t.match(down.reason, { kind: 'UNREACHABLE', message: /down: still gone/ });
  t.throws(() => one.requireReachable(), { message: /is down/ });
  one.answers(undefined);
  t.notOk(one.down.aborted, 'calls go again');
  t.strictSame(seen, ['up', 'restarting', 'restarting', 'down', 'up']);
  one.stop();
});

t.test('one that comes back in time has not been down', async (t) => {
  const { time, one, seen } = condition();
  one.answers(undefined);
  one.absent('gone');
  await time.advance(900);
  one.answers(undefined);
  await time.advance(10_000);
  one.absent('gone again');
  await time.advance(900);
  t.strictSame(seen, ['up', 'restarting', 'up', 'restarting']);
  one.stop();
});

t.test('the worst of what is known is the state', async (t) => {
  const { one, seen } = condition();
  one.answers(undefined);
  const collecting = one.collecting();
  one.full('1 MiB');
  t.throws(() => one.requireSpace(), { message: '1 MiB' });
  one.answers('another one');
  one.unauthorized('401');
  one.answers(undefined);
  one.full(undefined);
  const more = one.collecting();
  collecting.over();
  collecting.over();
  t.equal(one.current.name, 'collecting');
  more.over();
  one.stop();
  t.strictSame(seen, [
    'up',
    'collecting',
    'no_space',
    'other_identity',
    'unauthorized',
    'no_space',
    'collecting',
    'up',
  ]);
});

t.test('a collection waits for who is inside, and who comes waits for it', async (t) => {
  const time = virtualTime();
  const gate = new CollectionGate({ drainTimeoutMs: 1_000 }, time);
  const inside = Promise.withResolvers<void>();
  const first = gate.pass(forever, () => inside.promise);
  await time.advance(0);
  const closing = gate.close(forever);
  await time.advance(0);
  let hasPassed = false;
  const second = gate.pass(forever, async () => {
    hasPassed = true;
  });
  await t.rejects(gate.close(forever), { kind: 'FAILED', message: /already running/ });
  inside.resolve();
  await first;
  const closed = await closing;
  await time.advance(0);
  t.notOk(hasPassed);
  closed.open();
  await second;
  t.ok(hasPassed);
});

t.test('a collection gives up on those that do not end, and they go on', async (t) => {
  const time = virtualTime();
  const gate = new CollectionGate({ drainTimeoutMs: 1_000 }, time);
  const inside = Promise.withResolvers<void>();
  const first = gate.pass(forever, () => inside.promise);
  await time.advance(0);
  const failed = t.rejects(gate.close(forever), {
    kind: 'FAILED',
    message: /1 that have blocks already did not end in time/,
  });
  await time.advance(2_200);
  await failed;
  await gate.pass(forever, async () => {});
  inside.resolve();
  await first;
  (await gate.close(forever)).open();
});

t.test(
  'a collection interrupts what holds nothing yet, which begins anew behind it; what holds something it waits for',
  async (t) => {
    const time = virtualTime();
    const gate = new CollectionGate({ drainTimeoutMs: 1_000 }, time);
    const begun: string[] = [];
    const ends = Promise.withResolvers<void>();
    const pass = (name: string, hasSome: boolean) =>
      gate.passAgain(forever, async ({ signal, holds }) => {
        begun.push(name);
        if (hasSome) holds();
        await raceSignal(ends.promise, signal);
      });
    const empty = pass('empty', false);
    const some = pass('some', true);
    await time.advance(0);
    await Promise.all([
      t.rejects(gate.close(forever), { kind: 'FAILED', message: /1 that have blocks already did not end in time/ }),
      time.advance(2_200),
    ]);
    await time.advance(0);
    t.strictSame(begun, ['empty', 'some', 'empty'], 'nothing was collected, and it goes on as well');
    ends.resolve();
    await Promise.all([empty, some]);
    const never = new AbortController();
    const waiting = gate.passAgain(never.signal, async ({ signal }) => {
      begun.push('again');
      await raceSignal(new Promise(() => {}), signal);
    });
    await time.advance(0);
    const [closed] = await Promise.all([gate.close(forever), time.advance(1_200)]);
    t.equal(begun.length, 4);
    closed.open();
    await time.advance(0);
    t.equal(begun.length, 5);
    never.abort(new Error('enough'));
    await t.rejects(waiting, /enough/);
  },
);

t.test('what is protected while a collection waits has it wait on, and may still put', async (t) => {
  const time = virtualTime();
  const gate = new CollectionGate({ drainTimeoutMs: 1_000 }, time);
  const inside = Promise.withResolvers<void>();
  const first = gate.pass(forever, () => inside.promise);
  await time.advance(0);
  let isClosed = false;
  const closing = gate.close(forever).then((closed) => {
    isClosed = true;
    return closed;
  });
  await time.advance(0);
  const protection = gate.protect();
  inside.resolve();
  await first;
  await gate.pass(forever, async () => {});
  await time.advance(5_000);
  t.notOk(isClosed);
  protection.release();
  protection.release();
  (await closing).open();
});

t.test('a wait at the gate ends with an abort', async (t) => {
  const gate = new CollectionGate({ drainTimeoutMs: 1_000 }, virtualTime());
  const closed = await gate.close(forever);
  const controller = new AbortController();
  const waiting = gate.pass(controller.signal, async () => {});
  controller.abort(new Error('enough'));
  await t.rejects(waiting, /enough/);
  closed.open();
});

t.test('slots: so many at once, in order; who gives up leaves no hole', async (t) => {
  const slots = new Slots(2);
  const ends = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  const begun: number[] = [];
  const controller = new AbortController();
  const all = ends.map((end, at) =>
    slots.run(at === 2 ? controller.signal : forever, () => {
      begun.push(at);
      return end.promise;
    }),
  );
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await turn();
  t.strictSame(begun, [0, 1]);
  controller.abort(new Error('given up'));
  await t.rejects(all[2]!, /given up/);
  ends[0]?.reject(new Error('failed'));
  await t.rejects(all[0]!, /failed/);
  await turn();
  t.strictSame(begun, [0, 1, 3]);
  ends[1]?.resolve();
  ends[3]?.resolve();
  await turn();
  ends[4]?.resolve();
  await Promise.all([all[1], all[3], all[4]]);
  t.strictSame(begun, [0, 1, 3, 4]);
});
