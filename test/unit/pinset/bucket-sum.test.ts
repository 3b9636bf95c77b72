import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import t from 'tap';
import { BucketSum } from '../../../src/pinset/bucket-sum.ts';
import { addSums, sumBytes, sumOf } from '../../../src/pinset/scrub/sum.ts';

const hashOf = (text: string) => createHash('sha256').update(text).digest().toString('latin1');

t.test('a sum of hashes is the digest that they add up to, and no other', async (t) => {
  const check = (texts: string[], flip: number) => {
    const sum = new BucketSum();
    sum.add(hashOf('of the bucket before'));
    sum.clear();
    for (const text of texts) sum.add(hashOf(text));
    const digest = texts.map((text) => sumOf(Buffer.from(hashOf(text), 'latin1'))).reduce(addSums, 0n);
    const digests = Buffer.concat([Buffer.alloc(16, 7), sumBytes(digest)]);
    t.ok(sum.equals(digests, 16));
    digests[16 + (flip >> 3)] = (digests[16 + (flip >> 3)] as number) ^ (1 << (flip & 7));
    t.notOk(sum.equals(digests, 16));
  };
  fc.assert(fc.property(fc.array(fc.string(), { maxLength: 40 }), fc.integer({ min: 0, max: 127 }), check));
});

t.test('many of the greatest hashes are still counted exactly', async (t) => {
  const sum = new BucketSum();
  const greatest = 'ÿ'.repeat(32);
  const count = 100_000;
  for (let i = 0; i < count; i++) sum.add(greatest);
  t.ok(sum.equals(sumBytes((BigInt(count) * (2n ** 128n - 1n)) % 2n ** 128n), 0));
});
