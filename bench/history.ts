import { join as joinPath } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { WriteOperationSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { type LocalPeer, until } from '../scripts/local-cluster.ts';
import { type BulkOperation, writeInBulk } from '../src/cli/bulk.ts';
import { peerTables } from '../src/daemon/peer-core.ts';
import { lmdbStorage } from '../src/storage/lmdb/lmdb-storage.ts';
import { benchPeer } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { samplePin } from './sample-pins.ts';
import { loadNow } from './usage.ts';

/** Operations on each key: pinned and unpinned in turn, at the end pinned. */
const rounds = 51;
const withinMs = 30 * 60_000;
const joinsMeasured = 3;

/*
 * Logs and feeds are kept for an hour at least with the defaults, whatever is live; what stays of a history is what is there when
 * they are cut. So both clusters keep them for seconds.
 */
const flags = [
  '--crdt-log-age-min-ms=5000',
  '--crdt-log-age-max-ms=60000',
  '--pinset-feed-age-ms=5000',
  '--tracker-feed-age-ms=5000',
];

/**
 * What does a long history cost? Two peers pin and unpin the same keys again and again, two others pin them once: the store of the
 * first against that of the second (pages in use: LMDB's file never shrinks), and how long an empty peer takes to join either.
 */
export async function history(context: BenchContext): Promise<void> {
  const keys = Math.max(1_000, Math.round(context.pins / 50));
  const fresh = await measured(context, keys, 1);
  const old = await measured(context, keys, rounds);
  const { figures } = context;
  const after = `after ${(keys * rounds).toLocaleString('en')} operations on ${keys.toLocaleString('en')} keys`;
  figures.add({
    name: 'history',
    figure: 'disk',
    value: old.bytes / keys,
    unit: 'bytes/pin',
    limit: fresh.bytes / keys,
    note: `pages in use of all tables, ${after}; the goal is at most 1.3 times those of one operation a key`,
  });
  figures.add({
    name: 'history',
    figure: 'join',
    value: old.joinSeconds,
    unit: 's',
    limit: fresh.joinSeconds,
    note: `an empty peer joins, median of ${joinsMeasured}; the goal is at most 1.3 times as long as without the history`,
  });
}

async function measured(context: BenchContext, keys: number, ofEach: number) {
  const { figures, root } = context;
  const one = await benchPeer(root, flags);
  const two = await benchPeer(root, flags);
  await one.start();
  await two.start({ bootstrap: [one.address] });
  for (let round = 0; round < ofEach; round++) await writeRound(one, keys, round % 2 === 0);
  await isCut([one, two], keys);
  figures.progress(`  ${ofEach} operations a key; ${loadNow()}`);
  const seconds: number[] = [];
  for (let i = 0; i < joinsMeasured; i++) seconds.push(await joinSeconds(context, one, keys));
  await two.kill('SIGTERM');
  await one.kill('SIGTERM');
  return { joinSeconds: seconds.sort((a, b) => a - b)[1] as number, bytes: await bytesInUse(one) };
}

async function writeRound(peer: LocalPeer, keys: number, isPinning: boolean): Promise<void> {
  async function* operations(): AsyncIterable<BulkOperation> {
    for (let i = 0; i < keys; i++) {
      const value = samplePin(i);
      const { cid } = value;
      const unpin = { case: 'unpin' as const, value: { cid } };
      const operation = isPinning ? { case: 'pin' as const, value } : unpin;
      yield { cid, operation: create(WriteOperationSchema, { operation }) };
    }
  }
  for await (const { failure } of writeInBulk(peer.clients, operations())) {
    if (failure !== undefined) throw new Error(`refused: ${failure.message}`);
  }
}

/** Both have the same pins, and nothing is left in the logs. */
async function isCut(peers: readonly LocalPeer[], keys: number): Promise<void> {
  await until(
    'the logs are cut',
    async () => {
      const states = await Promise.all(peers.map((peer) => peer.clients.cluster.getCluster({})));
      return states.every(
        ({ pins, digest, log }) =>
          Number(pins) === keys && Buffer.compare(digest, states[0]?.digest ?? digest) === 0 && log?.batches === 0n,
      );
    },
    withinMs,
  );
  // The feed is trimmed up to the last checkpoint of the digest, which is a minute ago at most.
  await new Promise((resolve) => setTimeout(resolve, 90_000));
}

async function joinSeconds({ root }: BenchContext, source: LocalPeer, keys: number): Promise<number> {
  const peer = await benchPeer(root, flags);
  const { digest } = await source.clients.cluster.getCluster({});
  await peer.start({ bootstrap: [source.address] });
  const began = performance.now();
  await until(
    'the empty peer has all pins',
    async () => {
      const cluster = await peer.clients.cluster.getCluster({});
      return Number(cluster.pins) === keys && Buffer.compare(cluster.digest, digest) === 0;
    },
    withinMs,
  );
  const seconds = (performance.now() - began) / 1000;
  await peer.kill('SIGKILL');
  return seconds;
}

async function bytesInUse({ folder }: LocalPeer): Promise<number> {
  const storage = await lmdbStorage({ path: joinPath(folder, 'store', 'data.mdb'), tables: peerTables });
  const bytes = peerTables.reduce((sum, { name }) => sum + storage.tableSize(name).bytes, 0);
  await storage.close();
  return bytes;
}
