import t, { type Test } from 'tap';
import type { Op, Request } from '../../../src/consensus/consensus.ts';
import { bucketCount, bucketOf } from '../../../src/model/pin-key.ts';
import { IndexedFields } from '../../../src/pinset/codec/pin-value.ts';
import { DigestSums } from '../../../src/pinset/digest-sums.ts';
import { Indexer } from '../../../src/pinset/indexer.ts';
import type { StoredNames } from '../../../src/pinset/names.ts';
import { rowHash, shownDot } from '../../../src/pinset/row-hash.ts';
import { setsIn } from '../../../src/pinset/sets-state.ts';
import { tableSets } from '../../../src/pinset/tables.ts';
import { pinOp, seededRandom, TestCluster, type TestPeer, testKey, unpinOp } from '../../support/crdt-peers.ts';
import { History, stateOf } from '../../support/crdt-truth.ts';

// Power is lost at any moment of writing, taking in and joining; afterwards log, rows, clock, digest and indexes of the store
// speak of one state, and the peers find together again.

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** What does not fit together in one store that has just been opened. */
async function problemsOf(peer: TestPeer): Promise<string[]> {
  const snapshot = await peer.pinset.snapshot();
  const problems: string[] = [];
  const set = tableSets[setsIn(snapshot.reader).live];
  const names = peer.pinset.names as StoredNames;
  const indexer = new Indexer(names, []);
  const sums = new DigestSums();
  const fields = new IndexedFields();
  const expected = new Set<string>();
  for (const { key, row } of snapshot.rows(0, bucketCount)) {
    sums.add(bucketOf(key), rowHash(names, key, row));
    const shown = shownDot(names, row);
    if (shown === undefined) continue;
    fields.read(shown.value);
    indexer.entries(set, key, indexer.namespaceOf(key), fields, (table, entry) =>
      expected.add(`${table} ${hex(entry)}`),
    );
  }
  if (hex(sums.root()) !== hex(snapshot.digest.root())) problems.push('the digest is not that of the rows');
  const found = new Set<string>();
  for (const table of [set.byName, set.byCreated, set.byExpiry]) {
    for (const { key } of snapshot.reader.range(table)) found.add(`${table} ${hex(key)}`);
  }
  for (const entry of expected) if (!found.has(entry)) problems.push(`an index lacks ${entry}`);
  for (const entry of found) if (!expected.has(entry)) problems.push(`an index has ${entry}`);
  const state = stateOf(snapshot.reader, peer.pinset);
  problems.push(
    ...History.of([state])
      .check(peer.name, state)
      .filter((problem) => !/I2/.test(problem) || floors(state)),
  );
  snapshot.close();
  return problems;
}

/** With a floor the log alone does not tell the truth. */
function floors({ clock }: ReturnType<typeof stateOf>): boolean {
  return [...clock.values()].every(({ floor }) => floor === 0);
}

function randomOp(float: () => number): Op {
  const name = Math.floor(float() * 30);
  const roll = float();
  if (roll < 0.3) return unpinOp(name);
  return pinOp(name, {
    name: `n${Math.floor(float() * 5)}`,
    expiresMs: float() < 0.3 ? 2e12 : 0,
    createdMs: 1e12 + Math.floor(float() * 10),
  });
}

async function world(seed: number, t: Test): Promise<void> {
  const cluster = new TestCluster(seed);
  const { float } = seededRandom(seed);
  const flush = 'manual' as const;
  const peers = [await cluster.add({ name: 'a', flush }), await cluster.add({ name: 'b', flush })];
  let stream = 0;
  const nothing = () => {};
  for (let step = 0; step < 120; step++) {
    if (step === 60) peers.push(await cluster.add({ name: 'c', flush }));
    const peer = peers[Math.floor(float() * peers.length)] as TestPeer;
    const roll = float();
    if (roll < 0.5) {
      const requests = Array.from({ length: 1 + Math.floor(float() * 4) }, (): Request => ({ ops: [randomOp(float)] }));
      if (float() < 0.3)
        requests.push({ ops: [randomOp(float)], stream: { key: Buffer.alloc(16, seed), number: ++stream } });
      peer.commit(...requests).catch(nothing);
      await cluster.time.advance(Math.floor(float() * 3));
    } else if (roll < 0.65) {
      peer.storage.control.commit(float() < 0.5 ? 1 : undefined);
      await cluster.time.advance(1);
    } else if (roll < 0.9) {
      peer.storage.control.flush(float() < 0.5 ? 1 : undefined);
      await cluster.time.advance(Math.floor(float() * 300));
    } else {
      await peer.crash();
      await cluster.pumped(peer, peer.start());
      t.same(await problemsOf(peer), [], `seed ${seed}, step ${step}: ${peer.name} after a crash`);
    }
  }
  const equal = () => new Set(peers.map((peer) => `${peer.root()} ${peer.consensus.status().phase}`)).size === 1;
  for (let i = 0; i < 2_000 && !(equal() && peers[0]?.consensus.status().phase === 'ready' && i > 100); i++) {
    cluster.flush();
    await cluster.time.advance(50);
  }
  t.ok(equal(), `seed ${seed}: all agree`);
  for (const peer of peers) {
    cluster.flush();
    const problems = problemsOf(peer);
    await cluster.time.advance(10);
    t.same(await problems, [], `seed ${seed}: ${peer.name} at the end`);
    t.same(peer.consensus.status().alerts, [], `seed ${seed}: ${peer.name} has nothing to tell`);
  }
  t.equal(
    peers.some((peer) => peer.pinset.get(testKey('never'))),
    false,
  );
  await cluster.stop();
}

t.test('whatever a crash leaves behind fits together', { timeout: 300_000 }, async (t) => {
  const seeds = Number(process.env.REVIEW_SEEDS ?? 6);
  for (let seed = 1; seed <= seeds; seed++) await world(seed, t);
});
