import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { LocalPeer } from '../../scripts/local-cluster.ts';
import { daemons, equalDigests, held } from '../support/daemons.ts';
import { alertsOf, backedUp, cleared, killAll, pair, raised, writePins } from '../support/folders.ts';

// Stores that are put back: from a backup, and in place of the other. Nothing acknowledged that another peer holds is
// lost, all end equal, and the operator hears of it (docs/protocol.md 4.8).

const here = await daemons();
let pins = 0;

const dataFile = (peer: LocalPeer) => join(peer.folder, 'store', 'data.mdb');

t.test('a backup is put back, after more was written: it comes back from the other peer', async (t) => {
  const [one, other] = await pair(here, 'backup');
  pins = 0;
  pins += await writePins(one, 'before');
  const backup = await backedUp(one);
  await one.start({ bootstrap: [other.address] });
  pins += await writePins(one, 'after');
  await equalDigests([one, other], pins);
  await one.kill('SIGTERM');
  const store = join(one.folder, 'store');
  await rm(store, { recursive: true });
  await cp(backup, store, { recursive: true });
  await one.start({ bootstrap: [other.address] });
  pins += await writePins(one, 'since');
  await equalDigests([one, other], pins);
  t.match(await one.log(), 'the store was copied or restored');
  await killAll(one, other);
});

t.test('rolled back in place: noticed before it writes, and all is there again', async (t) => {
  const [one, other] = await pair(here, 'rolled');
  pins = 0;
  pins += await writePins(one, 'before');
  const backup = await backedUp(one);
  await one.start({ bootstrap: [other.address] });
  pins += await writePins(one, 'after');
  await equalDigests([one, other], pins);
  await one.kill('SIGTERM');
  await intoPlace(join(backup, 'data.mdb'), dataFile(one));
  await one.start({ bootstrap: [other.address] });
  pins += await writePins(one, 'since');
  await raised(one, 'ROLLED_BACK');
  await equalDigests([one, other], pins);
  t.notOk((await alertsOf(one)).includes('FORK'), 'it has not written twice');
  await cleared(one, 'ROLLED_BACK');
  await killAll(one, other);
});

t.test('rolled back in place, and it writes alone: two histories become one, and nothing is lost', async (t) => {
  const [one, other] = await pair(here, 'forked');
  pins = 0;
  pins += await writePins(one, 'before');
  const backup = await backedUp(one);
  await one.start({ bootstrap: [other.address] });
  pins += await writePins(one, 'after');
  await equalDigests([one, other], pins);
  await one.kill('SIGTERM');
  await other.kill('SIGTERM');
  await intoPlace(join(backup, 'data.mdb'), dataFile(one));
  await one.start();
  pins += await writePins(one, 'alone', 40);
  t.equal((await held(one)).pins, pins - 30);
  await other.start({ bootstrap: [one.address] });
  await raised(one, 'FORK');
  await equalDigests([one, other], pins, 60_000);
  pins += await writePins(other, 'at the other');
  await equalDigests([one, other], pins);
  await Promise.all([cleared(one, 'FORK'), cleared(other, 'FORK')]);
  await killAll(one, other);
});

/** The same file with other bytes: inode and birth time stay. */
async function intoPlace(from: string, to: string): Promise<void> {
  await writeFile(to, await readFile(from));
}
