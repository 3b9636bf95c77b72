import t from 'tap';
import { nodeLinks } from '../../../src/daemon/node-links.ts';
import type { NodeState, NodeStates } from '../../../src/ipfs/node-state.ts';
import type { Health, Member, MonitorChange } from '../../../src/monitor/monitor.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { seededRandom, virtualTime } from '../../support/virtual-time.ts';

const intervalMs = 60_000;

function member(peerId: string, addresses: string[], { health = 'up' as Health, self = false } = {}): Member {
  return { peerId, self, health, ipfs: { addresses } } as unknown as Member;
}

function world(members: Member[], options: { intervalMs?: number; fails?: boolean } = {}) {
  const time = virtualTime();
  const connected: string[][] = [];
  let onChange: (change: MonitorChange) => void = () => {};
  let onState: (state: NodeState) => void = () => {};
  const needs = {
    connector: {
      async connect(addresses: readonly string[]) {
        connected.push([...addresses]);
        if (options.fails) throw new Error('the node is down');
      },
    },
    monitor: {
      members: () => members,
      onChange(listener: typeof onChange) {
        onChange = listener;
        return () => {
          onChange = () => {};
        };
      },
    },
    nodeStates: {
      onChange: (listener: typeof onState) => {
        onState = listener;
      },
    } as unknown as NodeStates,
    ...{ timers: time.timers, random: seededRandom(1), logger: silentLogger },
  };
  const links = nodeLinks({ intervalMs: options.intervalMs ?? intervalMs }, needs);
  const changed = (kind: 'record' | 'metrics') => onChange({ kind, peerId: '' });
  const isUp = () => onState({ name: 'up' } as NodeState);
  return { time, links, connected, changed, isUp };
}

t.test('the node is connected with those of the members that are up, when one is new, and now and then', async (t) => {
  const members = [
    member('me', ['own'], { self: true }),
    member('a', ['a1', 'a2']),
    member('b', []),
    member('c', ['c1'], { health: 'down' }),
  ];
  const { time, links, connected, changed } = world(members);
  await links.start?.();
  await time.advance(0);
  t.strictSame(connected.splice(0), [['a1', 'a2']]);
  members[2] = member('b', ['b1']);
  changed('metrics');
  await time.advance(5_000);
  t.strictSame(connected, [], 'what changes all the time is not looked at');
  changed('record');
  await time.advance(2_000);
  t.strictSame(connected.splice(0), [['a1', 'a2'], ['b1']]);
  changed('record');
  await time.advance(5_000);
  t.strictSame(connected, [], 'nothing of it is new');
  await time.advance(2 * intervalMs);
  t.ok(connected.length >= 2);
  await links.stop?.();
  const count = connected.length;
  await time.advance(10 * intervalMs);
  t.equal(connected.length, count);
});

t.test('a node that was away is connected when it is back; that it fails stops nothing', async (t) => {
  const { time, links, connected, isUp } = world([member('a', ['a1'])], { fails: true });
  await links.start?.();
  await time.advance(0);
  isUp();
  await time.advance(2_000);
  t.equal(connected.length, 2);
  await links.stop?.();
});

t.test('an interval of 0: never', async (t) => {
  const { time, links, connected } = world([member('a', ['a1'])], { intervalMs: 0 });
  await links.start?.();
  await time.advance(10 * intervalMs);
  t.strictSame(connected, []);
  await links.stop?.();
});
