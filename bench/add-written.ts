import { hash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { contentOf } from './content.ts';

/*
 * A process of its own, a limit of the benchmark `add`: hashes content in pieces of 256 KiB and writes it to one file, flushed each 4 MiB.
 * Prints {"bytes", "seconds"}.
 *
 *     add-written.ts FILE BYTES
 */
const [file = '', bytes = '0'] = process.argv.slice(2);
const leafBytes = 256 * 1024;
const flushBytes = 4 * 1024 * 1024;
const target = await open(file, 'w');
const began = performance.now();
let unflushed = 0;
for (const piece of contentOf(9, Number(bytes))) {
  for (let at = 0; at < piece.length; at += leafBytes) hash('sha256', piece.subarray(at, at + leafBytes), 'buffer');
  await target.write(piece);
  unflushed += piece.length;
  if (unflushed < flushBytes) continue;
  await target.datasync();
  unflushed = 0;
}
await target.datasync();
console.log(JSON.stringify({ bytes: Number(bytes), seconds: (performance.now() - began) / 1000 }));
