import { join } from 'node:path';
import type { Connector } from '../src/ipfs/connector.ts';
import { forEachLimited } from '../src/ipfs/for-each-limited.ts';
import { parseRpcAddress } from '../src/ipfs/kubo/address.ts';
import { KuboConnector } from '../src/ipfs/kubo/kubo-connector.ts';
import { formatCid } from '../src/model/cid.ts';
import { systemClock as clock, systemTimers as timers } from '../src/runtime/clock.ts';
import { silentLogger as logger } from '../src/runtime/logger.ts';
import { noMetrics as metrics } from '../src/runtime/metrics.ts';
import { KuboNode, withoutKubo } from '../test/support/kubo.ts';
import { type BenchCore, pinAt, startBenchCore, until } from './bench-core.ts';
import type { BenchContext } from './main.ts';
import { answersAtOnce } from './node-stand-in.ts';
import { sampleCid, sampleContent } from './sample-pins.ts';

const standInPinsMax = 100_000;
const goalPerSecond = 5_000;
const kuboPinsMax = 24_000;
const rounds = 4;
/** As `tracker.concurrentPinsMax`. */
const concurrency = 10;

/** How fast pins get to the node: one that answers at once, and Kubo. */
export async function tracker(context: BenchContext): Promise<void> {
  await standIn(context);
  if (withoutKubo === false) await kubo(context);
  else context.figures.progress(`tracker: nothing of Kubo, ${withoutKubo}`);
}

async function standIn({ figures, root, pins }: BenchContext): Promise<void> {
  const count = Math.min(pins, standInPinsMax);
  const core = await startWith(join(root, 'stand-in'), answersAtOnce);
  const seconds = await pinned(core, 0, count);
  await core.stop();
  const note = `${count} pins, from the first write; the goal`;
  figures.add({
    ...{ name: 'tracker', figure: 'pins-per-second', unit: 'pins/s', note },
    ...{ value: count / seconds, limit: goalPerSecond },
  });
}

/** In turns with the same number of calls made directly, as Kubo becomes slower with what it holds. */
async function kubo({ figures, root, pins }: BenchContext): Promise<void> {
  const count = Math.floor(Math.min(pins, kuboPinsMax) / (2 * rounds));
  const node = await KuboNode.make();
  try {
    await node.start();
    const init = { address: parseRpcAddress(node.api), folder: root };
    const connector = new KuboConnector(init, { clock, timers, logger, metrics });
    const core = await startWith(join(root, 'kubo'), connector);
    await store(connector, 2 * rounds * count);
    const sum = { direct: 0, ours: 0 };
    for (let round = 0; round < rounds; round++) {
      const from = 2 * round * count;
      sum.direct += await pinnedDirectly(node.api, from, count);
      sum.ours += await pinned(core, from + count, count);
    }
    await core.stop();
    const of = rounds * count;
    const note = `${of} pins of blocks that it has; the same calls made directly, ${concurrency} at once`;
    figures.add({
      ...{ name: 'tracker', figure: 'kubo', unit: 'pins/s', note },
      ...{ value: of / sum.ours, limit: of / sum.direct },
    });
  } finally {
    await node.remove();
  }
}

const startWith = (folder: string, connector: Connector) =>
  startBenchCore({
    ...{ seed: new Uint8Array(32).fill(1), folder, hub: undefined, bootstrap: [], connector },
    antiEntropyIntervalMs: 10_000,
  });

/** Seconds from the write until the node holds them. */
async function pinned(core: BenchCore, from: number, count: number): Promise<number> {
  const before = core.tracker.counts().pinned;
  const startedMs = performance.now();
  await pinAt(core, from, count, 500, [core.network.peerId]);
  await until(() => core.tracker.counts().pinned === before + count);
  return (performance.now() - startedMs) / 1_000;
}

async function pinnedDirectly(api: string, from: number, count: number): Promise<number> {
  const { host, port } = parseRpcAddress(api);
  const startedMs = performance.now();
  const numbers = Array.from({ length: count }, (_, i) => from + i);
  await forEachLimited(numbers, concurrency, async (i) => {
    const url = `http://${host}:${port}/api/v0/pin/add?arg=${formatCid(sampleCid(i))}`;
    const answer = await fetch(url, { method: 'POST' });
    if (!answer.ok) throw new Error(await answer.text());
    await answer.text();
  });
  return (performance.now() - startedMs) / 1_000;
}

async function store(connector: Connector, count: number): Promise<void> {
  const { signal } = new AbortController();
  for (let from = 0; from < count; from += 500) {
    const numbers = Array.from({ length: Math.min(500, count - from) }, (_, i) => from + i);
    await connector.putBlocks(
      numbers.map((i) => ({ cid: sampleCid(i), bytes: sampleContent(i) })),
      { signal },
    );
  }
}
