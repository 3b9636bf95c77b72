import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type LocalPeer, runPinfold, tryPinfold } from '../../scripts/local-cluster.ts';
import { daemons, equalDigests, inlineCid } from '../support/daemons.ts';
import { seededBytes } from '../support/seeded-bytes.ts';

/** Levels as a user asks for them, of three daemons with their own disks and IPFS nodes. */
const here = await daemons();
const peers = await here.cluster(3);
const [one, two, three] = peers as [LocalPeer, LocalPeer, LocalPeer];
const all = peers.map(({ peerId }) => peerId).sort();

const pinfold = (...args: string[]) => tryPinfold([...args, '--host', one.host]);
const json = async (...args: string[]) => lines(await runPinfold([...args, '--host', one.host, '--output', 'json']));
const lines = ({ stdout }: { stdout: string }) =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

t.test('REPLICATED 3: every peer has it on its disk when the command ends', async (t) => {
  const cids = ['a', 'b'].map((name) => inlineCid(`replicated ${name}`)) as [string, string];
  const answers = await json('pin', 'add', ...cids, '--ack', 'replicated=3');
  t.match(
    answers.map(({ acknowledgedBy, ...rest }) => ({ ...rest, acknowledgedBy: acknowledgedBy.sort() })),
    cids.map((cid) => ({ cid, level: 'REPLICATED', count: 3, acknowledgedBy: all })),
  );
  for (const peer of [two, three]) {
    await peer.kill('SIGKILL');
    await peer.start({ bootstrap: [one.address] });
    t.ok(await peer.clients.pins.getPin({ cid: cids[0] }), `${peer.name} has it after a kill`);
  }
  const shown = await pinfold('pin', 'rm', cids[1], '--ack', 'replicated=3');
  t.match(shown, { code: 0, stdout: `${cids[1]}  replicated 3\n` });
  await t.rejects(two.clients.pins.getPin({ cid: cids[1] }), 'an unpin is waited for, too');
  const replaced = await json('pin', 'replace', cids[0], inlineCid('replacement'), '--ack', 'replicated=2');
  t.match(replaced, [{ pin: { updatedFrom: cids[0] }, level: { kind: 'KIND_REPLICATED', count: 2 } }]);
});

t.test('PINNED 2: two IPFS nodes hold the content when the command ends', async (t) => {
  const file = join(here.root, 'content');
  await writeFile(file, seededBytes('levels', 300_000));
  const answers = await json('add', file, '-r', '2', '--ack', 'pinned=2');
  const { root } = answers.at(-1);
  t.match(root.level, { kind: 'KIND_PINNED', count: 2 });
  t.same([...root.acknowledgedBy].sort(), [...root.pin.allocations].sort());
  const { status } = await one.clients.pins.getPinStatus({ cid: root.pin.cid });
  const pinned = status?.peers.filter((peer) => peer.status === 4).map(({ peerId }) => peerId);
  t.same(pinned?.sort(), [...root.pin.allocations].sort());
  const shown = await pinfold('pin', 'add', root.pin.cid, '-r', '3', '--ack', 'pinned=3');
  t.match(shown, { code: 0, stdout: `${root.pin.cid}  pinned 3\n` });
});

t.test('more than there are is refused; less than asked for is said', async (t) => {
  const cid = inlineCid('too much');
  const refused = await pinfold('pin', 'add', cid, '--ack', 'replicated=4');
  t.match(refused, { code: 1, stderr: /3 are trusted.*LEVEL_UNREACHABLE/s });
  const few = await pinfold('pin', 'add', cid, '-r', '1', '--ack', 'pinned=2');
  t.match(few, { code: 1, stdout: /LEVEL_UNREACHABLE/ });
  await t.rejects(one.clients.pins.getPin({ cid }));
  await three.kill('SIGKILL');
  const less = await pinfold('pin', 'add', cid, '--ack', 'replicated=3', '--timeout', '4');
  t.match(less, { code: 0, stdout: `${cid}  replicated 2\n`, stderr: /did not reach replicated 3/ });
  const { position } = await one.clients.pins.pin({ cid });
  await three.start({ bootstrap: [one.address] });
  const on = await one.clients.pins.waitLevel({ position, level: { kind: 2, count: 3 } });
  t.match(on, { level: { kind: 2, count: 3 } });
  t.same([...on.acknowledgedBy].sort(), all);
  await equalDigests(peers);
});
