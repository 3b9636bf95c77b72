import t from 'tap';
import { Absences } from '../../../../src/cluster/reallocation/absences.ts';
import type { Health, Member, MonitorChange } from '../../../../src/monitor/monitor.ts';
import { virtualTime } from '../../../support/virtual-time.ts';

const graceMs = 900_000;

function world(names: string[], followers: string[] = []) {
  const time = virtualTime();
  const health = new Map<string, Health>(names.map((name) => [name, 'up']));
  const listeners = new Set<(change: MonitorChange) => void>();
  const member = (peerId: string) =>
    health.has(peerId)
      ? ({ peerId, health: health.get(peerId), follower: followers.includes(peerId) } as Member)
      : undefined;
  const absences = new Absences(
    { graceMs },
    {
      clock: time.clock,
      monitor: {
        member,
        members: () => [...health.keys()].map((peerId) => member(peerId) as Member),
        onChange: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      },
    },
  );
  const set = (peerId: string, to: Health | undefined) => {
    if (to === undefined) health.delete(peerId);
    else health.set(peerId, to);
    if (to !== undefined) for (const listener of listeners) listener({ kind: 'health', peerId, health: to });
  };
  return { time, absences, set };
}

t.test('a peer is lost when it was away for the whole grace period', async (t) => {
  const { time, absences, set } = world(['a', 'b', 'c']);
  set('c', 'suspect');
  await time.advance(graceMs / 2);
  set('c', 'down');
  await time.advance(graceMs / 2 - 1);
  t.equal(absences.isLost('c'), false);
  await time.advance(1);
  t.equal(absences.isLost('c'), true);
  set('c', 'up');
  t.equal(absences.isLost('c'), false);
});

t.test('a peer that comes and goes is never lost', async (t) => {
  const { time, absences, set } = world(['a', 'b', 'c']);
  for (let i = 0; i < 10; i++) {
    set('c', 'down');
    await time.advance(graceMs - 1);
    set('c', 'up');
    set('c', 'suspect');
    t.equal(absences.isLost('c'), false);
  }
});

t.test('who sees half of the members or fewer takes none for lost, but says so', async (t) => {
  const { time, absences, set } = world(['a', 'b', 'c', 'd', 'f'], ['f']);
  set('c', 'down');
  set('d', 'down');
  await time.advance(graceMs);
  t.same([absences.isLost('c'), absences.held()], [false, ['c', 'd']], 'a follower does not count');
  set('d', undefined);
  t.same([absences.isLost('c'), absences.held()], [true, []], 'two of three, once one was removed');
  t.equal(absences.isLost('d'), true, 'and who was removed after such a time, too');
});

t.test('one that is not known has its time from when it was first asked for', async (t) => {
  const { time, absences } = world(['a', 'b', 'c']);
  await time.advance(10 * graceMs);
  t.equal(absences.isLost('x'), false);
  await time.advance(graceMs);
  t.equal(absences.isLost('x'), true);
});
