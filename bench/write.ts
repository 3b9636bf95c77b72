import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { open } from 'lmdb';
import { PinRequestSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { pinKey } from '../src/model/pin-key.ts';
import { benchPeer } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript, startScript } from './processes.ts';
import { sampleCid, samplePin } from './sample-pins.ts';
import { storeBytes } from './store-bytes.ts';

/** IPFS Cluster 1.1.6 on a machine of two cores: committed in memory, batching 2000 / 5 s; and with 64 callers, unbatched. */
const ipfsClusterBulk = 4_200;
const ipfsClusterUnary = 2_100;

/** WritePins acknowledged DURABLE through a real socket, against a handler that does one LMDB put a pin. */
export async function write({ figures, root, pins }: BenchContext): Promise<void> {
  figures.progress('  raw LMDB');
  const raw = await rawLmdb(join(root, 'raw'), pins);

  figures.progress('  limit: one put a pin');
  const server = await startScript('./put-server.ts', [join(root, 'limit')]);
  const limit = rate(await runScript<Bulk>('./bulk-client.ts', [`127.0.0.1:${server.line}`, '0', String(pins)]));
  await server.stop();

  figures.progress('  Pinfold');
  const peer = await benchPeer(root);
  await peer.start();
  const bulk = rate(await runScript<Bulk>('./bulk-client.ts', [peer.host, '0', String(pins)]));
  const beside = `raw LMDB ${Math.round(raw)}/s; ${(bulk / ipfsClusterBulk).toFixed(1)} x IPFS Cluster`;
  figures.add({
    name: 'write',
    figure: 'bulk',
    value: bulk,
    unit: 'pins/s',
    limit,
    note: `one LMDB put a pin, same server; ${beside}`,
  });

  figures.progress('  unary, 64 callers');
  const unary = await unaryRate(peer.clients.pins, pins, Math.min(20_000, pins));
  figures.add({
    name: 'write',
    figure: 'unary',
    value: unary,
    unit: 'pins/s',
    limit: ipfsClusterUnary,
    note: 'IPFS Cluster, 64 connections (another machine of this size)',
  });
  await peer.kill('SIGTERM');

  figures.progress('  bytes on disk');
  const bytes = await storeBytes(join(peer.folder, 'store'));
  const sizes = [
    ['pins-bytes', bytes.rowsAndIndexes, 320, 'rows and indexes'],
    ['status-bytes', bytes.status, 90, 'status index, all pinned'],
    ['log-bytes', bytes.log, 130, 'log, an operation'],
  ] as const;
  for (const [figure, value, goal, what] of sizes) {
    figures.add({ name: 'write', figure, value, unit: 'bytes/pin', limit: goal, note: `goal for ${what}: at most` });
  }
}

interface Bulk {
  operations: number;
  seconds: number;
}

const rate = ({ operations, seconds }: Bulk): number => operations / seconds;

async function rawLmdb(folder: string, pins: number): Promise<number> {
  const db = open({ path: folder, encoding: 'binary', keyEncoding: 'binary' });
  const value = Buffer.alloc(60, 7);
  const keys = Array.from({ length: pins }, (_, i) => pinKey(sampleCid(i), 'default'));
  const began = performance.now();
  for (let i = 0; i < pins; i += 5_000) {
    const some = keys.slice(i, i + 5_000).sort(Buffer.compare);
    const done = db.batch(() => {
      for (const key of some) db.put(key, value);
    });
    if ((i / 5_000) % 2 === 1) await done;
  }
  await db.flushed;
  const seconds = (performance.now() - began) / 1000;
  await db.close();
  return pins / seconds;
}

async function unaryRate(
  client: { pin(request: ReturnType<typeof samplePinRequest>): Promise<unknown> },
  from: number,
  count: number,
): Promise<number> {
  let next = 0;
  const began = performance.now();
  async function caller(): Promise<void> {
    while (next < count) await client.pin(samplePinRequest(from + next++));
  }
  await Promise.all(Array.from({ length: 64 }, caller));
  return count / ((performance.now() - began) / 1000);
}

function samplePinRequest(i: number) {
  return create(PinRequestSchema, samplePin(i));
}
