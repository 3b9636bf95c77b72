import t from 'tap';
import { type LocalPeer, until } from '../../scripts/local-cluster.ts';
import { writeAll } from '../support/bulk.ts';
import { absentCid, acquainted, daemons, equalDigests } from '../support/daemons.ts';

/*
 * A peer was away while the others cut their logs: it rebuilds (4.6), and neither kill -9 of it in the middle, nor of the
 * peer that it copies from, nor what both write meanwhile, gets lost.
 */
const pinsBefore = process.env.TEST_LONG === '1' ? 200_000 : 20_000;

const here = await daemons();
// Logs of two seconds at most, and little patience. The content is nowhere: the nodes must not be in the way.
const flags = [
  '--crdt-log-age-min-ms=1000',
  '--crdt-log-age-max-ms=2000',
  '--crdt-rebuild-patience-ms=1000',
  '--crdt-pull-delay-ms=50',
  '--tracker-pin-timeout-ms=1000',
];
const [source, away] = (await here.cluster(2, flags)) as [LocalPeer, LocalPeer];

const bootstrap = { bootstrap: [source.address, away.address] };
const pin = (label: string) => ({ operation: { case: 'pin' as const, value: { cid: absentCid(label) } } });
const unpin = (label: string) => ({ operation: { case: 'unpin' as const, value: { cid: absentCid(label) } } });
const labels = (count: number, what: string) => Array.from({ length: count }, (_, i) => `${what} ${i}`);

let pins = 0;

async function write(peer: LocalPeer, operations: Parameters<typeof writeAll>[1]): Promise<void> {
  await writeAll(peer, operations);
  for (const { operation } of operations) pins += operation?.case === 'pin' ? 1 : -1;
}

/** The log of the source holds nothing any more of what the other one lacks. */
async function cut(): Promise<void> {
  await until('the log is cut', async () => {
    const { log } = await source.clients.cluster.getCluster({});
    return log?.batches === 0n;
  });
}

/** Resolves in the middle of the rebuild; its writes go on. */
async function rebuilding(): Promise<void> {
  let most = 0;
  await until('the peer rebuilds', async () => {
    const { rebuild } = await away.clients.cluster.getCluster({});
    most = Math.max(most, rebuild?.done ?? 0);
    return most > 0;
  });
}

t.test('before: both have all pins, then one is killed', async (t) => {
  await write(source, labels(pinsBefore, 'old').map(pin));
  await write(away, labels(100, 'of the other').map(pin));
  await equalDigests([source, away], pins);
  t.equal(await away.kill('SIGKILL'), 137);
  await write(source, labels(pinsBefore / 4, 'old').map(unpin));
  await write(source, labels(pinsBefore / 2, 'new').map(pin));
  await cut();
});

t.test('it comes back and rebuilds, is killed in the middle, comes back, and so is its source', async (t) => {
  await away.start(bootstrap);
  await rebuilding();
  await write(away, labels(200, 'written while it rebuilds').map(pin));
  t.equal(await away.kill('SIGKILL'), 137);

  await write(source, labels(200, 'written while it is away again').map(pin));
  await away.start(bootstrap);
  const writing = (async () => {
    for (let round = 0; round < 5; round++) await write(away, labels(50, `written in round ${round}`).map(pin));
  })();
  await until('the peer serves', async () => (await away.clients.cluster.getCluster({})).pins > 0n);
  t.equal(await source.kill('SIGKILL'), 137);
  await source.start(bootstrap);
  await writing;
});

t.test('both end with the same pins, and nothing that was acknowledged is missing', async (t) => {
  await equalDigests([source, away], pins, 60_000);
  await until('no alert is left', async () => {
    const { alerts, rebuild } = await away.clients.cluster.getCluster({});
    return rebuild === undefined && !alerts.some(({ kind }) => kind === 'REBUILD_NEEDED');
  });
  const { log } = await source.clients.cluster.getCluster({});
  t.match(log?.holders, [{ peerId: away.peerId }], 'it says for whom it keeps its log');
  const told = await away.log();
  t.match(told, /rebuilding: a new table set is filled/);
  await acquainted([source, away]);
});
