import { open } from 'node:fs/promises';
import { CID } from 'multiformats/cid';
import { adder } from '../src/adder/adder.ts';
import type { Block } from '../src/ipfs/connector.ts';
import { carHeader, carSection } from '../src/ipfs/dag/car-writer.ts';
import { noMetrics as metrics } from '../src/runtime/metrics.ts';
import { contentOf } from './content.ts';

/*
 * A process of its own: the CAR that the content becomes which `add-client.ts` adds. Prints {"cid"}.
 *
 *     add-car.ts FILE SEED BYTES
 */
const [file = '', seed = '0', bytes = '0'] = process.argv.slice(2);
const { signal } = new AbortController();

async function made(putBlocks: (blocks: readonly Block[]) => Promise<void>): Promise<CID> {
  async function* entries() {
    const content = (async function* () {
      yield* contentOf(Number(seed), Number(bytes));
    })();
    yield { path: 'content', content };
  }
  let root: Uint8Array = new Uint8Array();
  for await (const { cid } of adder({ metrics }).add(entries(), { putBlocks }, { signal })) root = cid;
  return CID.decode(root);
}

// The header comes first and names the root, which comes last.
const root = await made(async () => {});
const target = await open(file, 'w');
await target.write(carHeader([root]));
let written: Promise<unknown> = Promise.resolve();
await made((blocks) => {
  const pieces = blocks.flatMap(({ cid, bytes }) => carSection(CID.decode(cid), bytes));
  // Batches come before those before them are written.
  const writing = written.then(() => target.writev(pieces)).then(() => {});
  written = writing;
  return writing;
});
await target.close();
console.log(JSON.stringify({ cid: root.toString() }));
