import { readFileSync } from 'node:fs';
import t from 'tap';
import { type LocalPeer, runPinfold, spawnPinfold, until } from '../../scripts/local-cluster.ts';
import { daemons } from '../support/daemons.ts';

const here = await daemons();
const [one, two, three] = (await here.cluster(3, ['--monitor-metric-ttl-ms=2000'])) as [
  LocalPeer,
  LocalPeer,
  LocalPeer,
];
const pinfold = async (...args: string[]) => (await runPinfold([...args, '--host', one.host])).stdout;

t.test('who is connected with whom, as data and as a graph; a peer that is gone is named', async (t) => {
  let answer = await one.clients.cluster.getConnectivity({});
  await until('each is connected with each, and knows how far that is', async () => {
    answer = await one.clients.cluster.getConnectivity({});
    const { peers } = answer;
    return (
      peers.length === 3 &&
      peers.every(
        ({ connections }) => connections.length === 2 && connections.every(({ latencyMs }) => (latencyMs ?? 0) > 0),
      )
    );
  });
  const { peers, errors } = answer;
  t.equal(peers[0]?.peerId, one.peerId);
  t.same(errors, []);
  t.ok(peers.every(({ ipfs }) => ipfs?.peerId !== ''));
  const graph = await pinfold('health', 'graph');
  t.match(graph, /^digraph cluster \{\n/);
  for (const from of [one, two, three]) {
    for (const to of [one, two, three]) {
      if (from !== to) t.match(graph, `"${from.peerId}" -> "${to.peerId}" [label="`);
    }
  }
  t.match(JSON.parse(await pinfold('health', 'graph', '--output', 'json')), {
    peers: [{ peerId: one.peerId }, {}, {}],
  });
});

t.test('alerts are raised, listed, watched, counted and cleared', async (t) => {
  t.equal(await pinfold('health', 'alerts', '--output', 'json'), '');
  const watching = spawnPinfold(['health', 'alerts', '--watch', '--host', one.host, '--output', 'json']);
  await until('it has begun', () => watching.stdout().includes('caughtUp'));
  await three.kill('SIGKILL');
  await until('raised', () => watching.stdout().includes('KIND_RAISED'));
  t.match(watching.stdout(), new RegExp(`PEER_DOWN.*${three.peerId}`));
  t.match(JSON.parse(await pinfold('health', 'alerts', '--output', 'json')), {
    kind: 'PEER_DOWN',
    peerId: three.peerId,
  });
  const { peers, errors } = await one.clients.cluster.getConnectivity({}, { timeoutMs: 3_000 });
  t.same(new Set(peers.map(({ peerId }) => peerId)), new Set([one.peerId, two.peerId]));
  t.match(errors, [{ peerId: three.peerId, peerName: 'peer-3' }]);
  t.match(await pinfold('health', 'graph'), `"${three.peerId}" [label="peer-3`);
  await three.start({ bootstrap: [one.address] });
  await until('cleared', () => watching.stdout().includes('KIND_CLEARED'));
  watching.child.kill('SIGINT');
  await watching.ended;
  const metrics = await (await fetch(`http://${one.metricsHost}/metrics`)).text();
  t.match(metrics, /pinfold_alerts_raised_total\{kind="PEER_DOWN"\} [1-9]/);
  t.match(metrics, /pinfold_alerts_cleared_total\{kind="PEER_DOWN"\} [1-9]/);
  const reference = readFileSync('docs/metrics.md', 'utf8');
  for (const [, name, type] of metrics.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    t.ok(reference.includes(`| \`${name}\` | ${type} |`), `${name} is in docs/metrics.md`);
  }
});
