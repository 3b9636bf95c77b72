import { PutBlocksCall } from '../src/cluster/adding/put-blocks-call.ts';
import { putBlocksHandlers } from '../src/cluster/adding/put-blocks-handler.ts';
import { systemTimers as timers } from '../src/runtime/clock.ts';
import { benchNetwork } from './bench-network.ts';
import { contentOf } from './content.ts';
import { sampleCid } from './sample-pins.ts';

/*
 * A process of its own, a limit of the benchmark `add`: the peer RPC's rate for blocks of 256 KiB that the other end throws away.
 *
 *     put-blocks-rate.ts serve               prints its address
 *     put-blocks-rate.ts call ADDRESS BYTES  prints {"bytes", "seconds"}
 */
const [role, address = '', of = '0'] = process.argv.slice(2);
const leafBytes = 256 * 1024;

if (role === 'serve') {
  const network = await benchNetwork({
    ...putBlocksHandlers({
      connector: {
        missingBlocks: async (cids) => [...cids],
        putBlocks: async () => {},
        protect: () => ({ release() {} }),
      },
      held: async () => {},
      timers,
    }),
  });
  console.log(network.addresses()[0]);
} else {
  const network = await benchNetwork({});
  const { signal } = new AbortController();
  const peerId = await network.dial(address, { signal });
  const call = new PutBlocksCall(peerId, { rpc: network.rpc, timers });
  const began = performance.now();
  let waiting: Promise<unknown>[] = [];
  let batch: { cid: Uint8Array; bytes: Uint8Array }[] = [];
  let made = 0;
  for (const piece of contentOf(7, Number(of))) {
    for (let at = 0; at < piece.length; at += leafBytes)
      batch.push({ cid: sampleCid(made++), bytes: piece.subarray(at, at + leafBytes) });
    if (batch.length < 16) continue;
    waiting.push(call.put(batch, { signal }));
    batch = [];
    if (waiting.length === 2) await waiting.shift();
  }
  if (batch.length > 0) waiting.push(call.put(batch, { signal }));
  await Promise.all(waiting);
  waiting = [];
  console.log(JSON.stringify({ bytes: Number(of), seconds: (performance.now() - began) / 1000 }));
  process.exit(0);
}
