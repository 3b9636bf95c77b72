import { open } from 'lmdb';
import { pinKey } from '../src/model/pin-key.ts';
import { sampleCid } from './sample-pins.ts';

/*
 * A process of its own: what lmdb does by itself, one put a pin (key of 45 bytes, value of 60), 5,000 a transaction, sorted, flushed,
 * two transactions in flight. Prints {"rate"}.
 *
 *     raw-lmdb.ts FOLDER PINS
 */
const [path = '', pins = '0'] = process.argv.slice(2);
const count = Number(pins);
const perTransaction = 5_000;
const db = open({ path, encoding: 'binary', keyEncoding: 'binary' });
const value = Buffer.alloc(60, 7);
const keys = Array.from({ length: count }, (_, i) => pinKey(sampleCid(i), 'default'));

const began = performance.now();
for (let i = 0; i < count; i += perTransaction) {
  const some = keys.slice(i, i + perTransaction).sort(Buffer.compare);
  const done = db.batch(() => {
    for (const key of some) db.put(key, value);
  });
  if ((i / perTransaction) % 2 === 1) await done;
}
await db.flushed;
console.log(JSON.stringify({ rate: count / ((performance.now() - began) / 1000) }));
await db.close();
