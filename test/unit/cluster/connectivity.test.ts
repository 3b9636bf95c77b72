import t from 'tap';
import { type ConnectivityNeeds, connectionHandlers, connectivity } from '../../../src/cluster/connectivity.ts';
import type { NodeState } from '../../../src/ipfs/node-state.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import type { Member } from '../../../src/monitor/monitor.ts';
import { virtualTime } from '../../support/virtual-time.ts';
import { callContext } from './world.ts';

const up: NodeState = { name: 'up', detail: '' };

/** Members that are connected in a row: a - b - c ... */
function row(names: readonly string[], states: Record<string, NodeState> = {}) {
  const time = virtualTime();
  const cut = new Set<string>();
  const hanging = new Set<string>();
  const members = names.map((peerId) => ({
    peerId,
    name: `peer ${peerId}`,
    ipfs: { peerId: `node ${peerId}`, addresses: [], agent: 'x' },
  }));
  const needsOf = (self: string): ConnectivityNeeds => {
    const at = names.indexOf(self);
    return {
      ...time,
      ipfsState: () => states[self] ?? up,
      monitor: {
        members: () => members.map((member) => ({ ...member, self: member.peerId === self }) as unknown as Member),
        member: (id) => members.find(({ peerId }) => peerId === id) as unknown as Member | undefined,
      },
      network: {
        connected: () => [names[at - 1], names[at + 1]].filter((peerId) => peerId !== undefined),
        latencyMs: (peerId) => (peerId > self ? 1.5 : undefined),
        rpc: {
          serve() {},
          async *call(to, method, requests, { signal }) {
            if (cut.has(to)) throw new PinfoldError('PEER_UNREACHABLE', 'it does not answer');
            if (hanging.has(to))
              await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
            if (method !== 'getConnections') throw new Error(method);
            const handler = connectionHandlers(needsOf(to)).getConnections;
            yield* handler(requests as never, { peerId: self, signal }) as AsyncIterable<never>;
          },
        },
      },
    };
  };
  return { time, cut, hanging, ask: (self: string) => connectivity(needsOf(self)) };
}

t.test('each member says with whom it is connected, how far that is, and how its node is', async (t) => {
  const w = row(['a', 'b', 'c'], { c: { name: 'down', detail: 'does not answer' } });
  const { peers, errors } = await w.ask('a')(callContext());
  t.same(errors, []);
  t.match(peers, [
    {
      peerId: 'a',
      name: 'peer a',
      connections: [{ peerId: 'b', latencyMs: 1.5 }],
      ipfs: { peerId: 'node a' },
      ipfsState: up,
    },
    {
      peerId: 'b',
      connections: [
        { peerId: 'a', latencyMs: undefined },
        { peerId: 'c', latencyMs: 1.5 },
      ],
      ipfsState: up,
    },
    { peerId: 'c', connections: [{ peerId: 'b' }], ipfsState: { name: 'down', detail: 'does not answer' } },
  ]);
});

t.test('who cannot be asked, or does not answer before the deadline, is named', async (t) => {
  const w = row(['a', 'b', 'c', 'd']);
  w.cut.add('b');
  w.hanging.add('c');
  const call = callContext({ deadlineMs: w.time.clock.nowMs() + 1_000 });
  const asked = w.ask('a')(call);
  await w.time.advance(950);
  const { peers, errors } = await asked;
  t.same(
    peers.map(({ peerId }) => peerId),
    ['a', 'd'],
  );
  t.match(errors, [
    { peerId: 'b', peerName: 'peer b', reason: 'PEER_UNREACHABLE' },
    { peerId: 'c', reason: 'DEADLINE' },
  ]);
  t.equal(w.time.pending(), 0, 'no timer is left');
});

t.test('a caller that goes away ends it', async (t) => {
  const w = row(['a', 'b']);
  w.hanging.add('b');
  const call = callContext();
  const asked = w.ask('a')(call);
  call.abort(new Error('gone'));
  await t.rejects(asked, /gone/);
});
