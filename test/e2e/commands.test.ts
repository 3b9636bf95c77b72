import t from 'tap';
import { TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import {
  type LocalPeer,
  type RunningCommand,
  runPinfold,
  spawnPinfold,
  tryPinfold,
  until,
} from '../../scripts/local-cluster.ts';
import { absentCid, daemons, equalDigests, held, inlineCid } from '../support/daemons.ts';

const here = await daemons();
const [one, two] = (await here.cluster(2, [
  '--tracker-pin-timeout-ms=500',
  '--tracker-retry-base-ms=600000',
  '--tracker-retry-max-ms=600000',
])) as [LocalPeer, LocalPeer];

const pinfold = (...args: string[]) => tryPinfold([...args, '--host', one.host]);
const json = async (...args: string[]) => lines(await runPinfold([...args, '--host', one.host, '--output', 'json']));
const lines = ({ stdout }: { stdout: string }) =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

t.test('pin add, get, ls, replace and rm', async (t) => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => inlineCid(`cli ${name}`)) as [string, string, string];
  t.same(await json('pin', 'add', a, b, '--name', 'docs/x', '--meta', 'owner=alice', '-r', '2'), [
    { cid: a, level: 'DURABLE' },
    { cid: b, level: 'DURABLE' },
  ]);
  const [pin] = await json('pin', 'get', a);
  const options = { name: 'docs/x', metadata: [{ key: 'owner', value: 'alice' }] };
  t.match(pin, { cid: a, namespace: 'default', options });
  t.equal(pin.allocations.length, 2);
  t.match((await pinfold('pin', 'get', a)).stdout, /^cid +baf.*\nname +docs\/x\n/);
  t.same((await json('pin', 'ls', '--name-prefix', 'docs/')).map(({ cid }) => cid).sort(), [a, b].sort());
  t.equal((await json('pin', 'ls', '--limit', '1')).length, 1);
  t.match((await pinfold('pin', 'ls', '--order', 'newest')).stdout, a);
  const replaced = await json('pin', 'replace', b, c, '--name', 'docs/y');
  t.match(replaced, [{ cid: c, updatedFrom: b, options: { name: 'docs/y' } }]);
  await json('pin', 'add', a, '-n', 'team', '--mode', 'direct', '--expires-in', '1h');
  const claim = { namespace: 'team', options: { mode: 'PIN_MODE_DIRECT', expires: String } };
  t.match(await json('pin', 'get', a, '-n', 'team'), [claim]);
  t.same(await json('pin', 'rm', a, c), [
    { cid: a, level: 'DURABLE' },
    { cid: c, level: 'DURABLE' },
  ]);
  t.equal((await json('pin', 'ls')).length, 1);
  await json('pin', 'rm', a, '-n', 'team');
  t.equal((await held(one)).pins, 0);
});

t.test('exit code 1 for what failed, with its reason', async (t) => {
  const absent = await pinfold('pin', 'get', inlineCid('never pinned'));
  t.equal(absent.code, 1);
  t.match(absent.stderr, 'PIN_NOT_FOUND');
  const good = inlineCid('good');
  const half = await tryPinfold(['pin', 'add', good, 'nonsense', '--host', one.host, '--output', 'json']);
  t.equal(half.code, 1);
  t.match(lines(half), [
    { cid: good, level: 'DURABLE' },
    { cid: 'nonsense', error: 'INVALID_CID' },
  ]);
  t.match(JSON.parse(half.stderr), { error: 'SOME_FAILED' });
  await json('pin', 'rm', good);
});

t.test('20,000 CIDs from standard input, in and out', async (t) => {
  const cids = Array.from({ length: 20_000 }, (_, i) => absentCid(`bulk ${i}`));
  const input = `# a comment\n\n${cids.join('\n')}\n`;
  const elsewhere = ['--allocation', two.peerId, '-r', '1'];
  const added = await runPinfold(['pin', 'add', ...elsewhere, '--host', one.host, '--output', 'json'], input);
  t.same(
    lines(added).map(({ cid }) => cid),
    cids,
  );
  await equalDigests([one, two], 20_000);
  const listed = await json('pin', 'ls');
  t.equal(new Set(listed.map(({ cid }) => cid)).size, 20_000);
  await runPinfold(['pin', 'rm', '--host', two.host], cids.join('\n'));
  await equalDigests([one, two], 0);
});

t.test('a bulk pin goes on when the daemon is killed and comes back', async (t) => {
  const cids = Array.from({ length: 30_000 }, (_, i) => absentCid(`restarted ${i}`));
  const elsewhere = ['--allocation', two.peerId, '-r', '1'];
  const running = spawnPinfold(['pin', 'add', ...elsewhere, '--host', one.host, '--output', 'json']);
  running.child.stdin?.end(cids.join('\n'));
  await until('it is under way', () => running.stdout().length > 10_000);
  await one.kill('SIGKILL');
  t.equal(running.child.exitCode, null, 'in the middle');
  await one.start({ bootstrap: [two.address] });
  const { code, stdout, stderr } = await running.ended;
  t.equal(code, 0, stderr);
  t.same(
    lines({ stdout }).map(({ cid }) => cid),
    cids,
    'each is answered once, in order',
  );
  await equalDigests([one, two], cids.length);
  await runPinfold(['pin', 'rm', '--host', one.host], cids.join('\n'));
  await equalDigests([one, two], 0);
});

t.test('status, its filter, its watch, and recover; content that nobody has is no_provider', async (t) => {
  const there = inlineCid('held');
  const absent = absentCid('nobody has this');
  const watching = spawnPinfold(['status', '--watch', '--host', two.host, '--output', 'json']);
  await seen(watching, 'caughtUp');
  await json('pin', 'add', there, absent);
  const status = async (cid: string) => (await json('status', cid))[0];
  await everywhere(there, TrackerStatus.PINNED);
  await everywhere(absent, TrackerStatus.PIN_ERROR);
  const pinned = { status: 'TRACKER_STATUS_PINNED' };
  t.match(await status(there), { peers: [pinned, pinned] });
  const failed = await status(absent);
  t.equal(failed.peers.length, 2);
  const failure = { errorClass: 'ERROR_CLASS_NO_PROVIDER', attempts: 1, retryAt: String, error: String };
  t.match(failed.peers, [failure, failure]);
  t.match((await pinfold('status', absent)).stdout, /peer-1 +.*pin_error/);
  t.same(
    (await json('status', '--filter', 'pin_error')).map(({ cid }) => cid),
    [absent],
  );
  t.same(
    (await json('status', '--status', 'pinned')).map(({ cid }) => cid),
    [there],
  );
  const failing = ['status', '--status', 'pin_error'];
  t.same(await json(...failing, '--older-than', '1h'), []);
  t.match(await json(...failing, '--newer-than', '1h', '--peer', one.peerId), [
    { cid: absent, peers: [{ peerName: 'peer-1' }] },
  ]);
  t.same(await json(...failing, '--created-before', '1h'), []);
  t.match(await json('status', '--peer', two.peerId, absent), [{ cid: absent, peers: [{ peerName: 'peer-2' }] }]);
  t.equal((await tryPinfold(['status', absent, '--older-than', '1h', '--host', one.host])).code, 2);

  const recovered = await json('recover');
  t.same(new Set(recovered.map(({ cid }) => cid)), new Set([absent]));
  await until('it was tried again', async () => {
    const { status: all } = await one.clients.pins.getPinStatus({ cid: absent });
    return all?.peers.every(({ attempts }) => attempts === 2) === true;
  });
  await seen(watching, 'TRACKER_STATUS_PIN_ERROR');
  t.match(watching.stdout(), there);
  watching.child.kill('SIGINT');
  await watching.ended;
  await json('pin', 'rm', there, absent);
});

t.test('id, peers, health and the address from the folder, also after a restart', async (t) => {
  t.match(await json('id'), [{ peerId: one.peerId, self: true, health: 'PEER_HEALTH_UP' }]);
  const peers = await json('peers', 'ls');
  t.same(peers.map(({ peerId }) => peerId).sort(), [one.peerId, two.peerId].sort());
  const table = (await pinfold('peers', 'ls')).stdout;
  t.match(table, /PEER +NAME +HEALTH/);
  t.notMatch(table, '\u001b[', 'no colours but on a terminal');
  t.match((await pinfold('peers', 'get', two.peerId)).stdout, two.peerId);
  t.equal((await pinfold('peers', 'get', 'nonsense')).code, 1);
  const { stdout: health } = await pinfold('health');
  t.match(health, /cluster +pinfold, crdt, 0 pins\n/);
  t.match(health, /log +\d+ batches, /);
  t.match(health, /LOG KEPT FOR +LACKS +HEARD\n12D3KooW\w+ +nothing +20/);
  t.match((await json('health'))[0], { consensus: 'crdt', members: [{}, {}] });
  t.match((await tryPinfold(['id', '--folder', two.folder])).stdout, two.peerId);
});

t.test('metrics: base units in the names, each with help, counters and they alone end with _total', async (t) => {
  const answer = await fetch(`http://${one.metricsHost}/metrics`);
  t.match(answer.headers.get('content-type'), 'text/plain');
  const text = await answer.text();
  const metrics = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type]) => ({ name, type }));
  const ours = metrics.filter(({ name }) => name.startsWith('pinfold_'));
  const helps = new Set([...text.matchAll(/^# HELP (\S+) \S/gm)].map(([, name]) => name));
  const names = (found: typeof metrics) => found.map(({ name }) => name);
  t.ok(ours.length > 30, `${ours.length} metrics`);
  t.same(names(metrics.filter(({ name }) => !/^(pinfold|process|nodejs)_/.test(name))), []);
  t.same(names(ours.filter(({ name }) => !helps.has(name))), []);
  t.same(names(ours.filter(({ name }) => /(_ms|millis|_kb|_mb|_minutes)/.test(name))), []);
  t.same(names(ours.filter(({ name, type }) => name.endsWith('_total') !== (type === 'counter'))), []);
  for (const name of [
    'pinfold_api_calls_total',
    'pinfold_crdt_own_operations_total',
    'pinfold_network_connected_peers',
    'pinfold_network_handshakes_refused_total',
    'pinfold_tracker_statuses',
    'pinfold_tracker_attempt_seconds',
  ]) {
    t.ok(names(ours).includes(name), name);
  }
  t.match(text, /^pinfold_members\{health="up"\} 2$/m);
  t.match(text, /^pinfold_pinset_pins 0$/m);
  t.equal((await fetch(`http://${one.metricsHost}/elsewhere`)).status, 404);
});

/** Asked without the command, which takes a second to start. */
function everywhere(cid: string, status: TrackerStatus): Promise<void> {
  return until(`${cid} has the status ${status} on all peers`, async () => {
    const { status: all } = await one.clients.pins.getPinStatus({ cid });
    return all?.peers.length === 2 && all.peers.every((peer) => peer.status === status);
  });
}

function seen(running: RunningCommand, text: string): Promise<void> {
  return until(`the command wrote ${text}`, () => running.stdout().includes(text));
}
