import { embeddedConnector } from '../../src/ipfs/embedded/embedded-connector.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { dag, type TestDag, wideDag } from '../suites/dags.ts';

/**
 * An embedded node in a process of its own, for the tests to kill. On the folder of argv[2] it pins DAG after DAG from the
 * number argv[3] on: what it stores itself, and every third fetched from the address argv[4]; unpins some, and
 * collects garbage beside that. It prints `put N`, `pinned N` when that is acknowledged, `unpinning N` before it begins.
 */
export const key = new Uint8Array(32).fill(3);
export const isFetched = (n: number) => n % 3 === 0;
export const dagOf = (n: number): TestDag => (n % 2 === 0 ? dag(`dag ${n}`) : wideDag(`dag ${n}`, 12, 3_000));

async function run(folder: string, from: number, source: string): Promise<void> {
  const { signal } = new AbortController();
  const node = embeddedConnector(
    { agent: 'pinfold/1', folder, listenAddresses: ['/ip4/127.0.0.1/tcp/0'], network: { kind: 'private', key } },
    { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics },
  );
  await node.start();
  const say = (line: string) => process.stdout.write(`${line}\n`);
  let next = from;
  const pinOne = async () => {
    const n = next++;
    const { root, blocks } = dagOf(n);
    const protection = node.protect();
    try {
      if (!isFetched(n)) {
        await node.putBlocks(blocks, { signal });
        say(`put ${n}`);
      }
      await node.pin({ cid: root.cid, mode: 'recursive', sources: [source] }, { signal, stallTimeoutMs: 10_000 });
      say(`pinned ${n}`);
    } finally {
      protection.release();
    }
    if (n % 5 !== 4) return;
    say(`unpinning ${n}`);
    await node.unpin(root.cid, { signal });
  };
  const pinOn = async () => {
    for (;;) await pinOne();
  };
  const collectOn = async () => {
    for (;;) for await (const _ of node.collectGarbage({ signal }));
  };
  say('started');
  await Promise.all([pinOn(), pinOn(), pinOn(), collectOn()]);
}

const [, file, folder, from, source] = process.argv;
if (folder !== undefined && file === import.meta.filename) await run(folder, Number(from), source as string);
