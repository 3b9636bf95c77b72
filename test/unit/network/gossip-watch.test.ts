import type { Connection } from '@libp2p/interface';
import t from 'tap';
import { GossipWatch } from '../../../src/network/libp2p/gossip-watch.ts';

function connection(peerId: string, ...streams: { direction: string; protocol: string; status: string }[]): Connection {
  return { remotePeer: { toString: () => peerId }, streams } as unknown as Connection;
}

const open = { direction: 'outbound', protocol: '/meshsub/1.2.0', status: 'open' };

function heartbeats(watch: GossipWatch, count: number, connections: readonly Connection[]): Connection[] {
  let broken: Connection[] = [];
  for (let n = 0; n < count; n++) broken = watch.check(connections);
  return broken;
}

t.test('a connection whose peer has no gossip stream for 15 heartbeats is broken', async (t) => {
  const watch = new GossipWatch();
  const whole = connection('whole', open);
  const other = connection('broken', { ...open, direction: 'inbound' }, { ...open, status: 'aborted' });
  t.strictSame(heartbeats(watch, 15, [whole, other]), []);
  t.strictSame(heartbeats(watch, 1, [whole, other]), [other]);
});

t.test('one gossip stream on any of its connections is enough, and counting begins anew', async (t) => {
  const watch = new GossipWatch();
  const bare = connection('a', { ...open, protocol: '/pinfold/rpc/1' });
  t.strictSame(heartbeats(watch, 15, [bare]), []);
  t.strictSame(heartbeats(watch, 1, [bare, connection('a', open)]), []);
  t.strictSame(heartbeats(watch, 15, [bare]), []);
  t.strictSame(heartbeats(watch, 1, []), []);
  t.strictSame(heartbeats(watch, 15, [bare]), [], 'a new connection has its own time');
});
