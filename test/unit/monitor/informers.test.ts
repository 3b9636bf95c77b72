import t from 'tap';
import { latencyInformer, pinCountInformer } from '../../../src/monitor/informers.ts';

const options = { signal: new AbortController().signal };

t.test("the node's latency is smoothed, and a call that fails is no reading", async (t) => {
  let nowMs = 0;
  let takesMs = 0;
  let isThere = true;
  const node = {
    id: async () => {
      nowMs += takesMs;
      if (!isThere) throw new Error('nobody there');
      return { peerId: 'n', addresses: [], agent: '' };
    },
  };
  const informer = latencyInformer(node, { monotonicMs: () => nowMs }, 5_000);
  t.match(informer, { name: 'latency', ttlMs: 5_000 });
  const read = async (ms: number) => {
    takesMs = ms;
    return await informer.read(options);
  };
  t.equal(await read(100), 100, 'the first as it is');
  t.equal(await read(200), 125);
  isThere = false;
  await t.rejects(read(5_000), /nobody there/);
  isThere = true;
  t.equal(await read(125), 125, 'the one that failed left nothing behind');
  t.equal(await read(0), 94, 'in whole milliseconds');
});

t.test('the number of pins is that of the tracker', async (t) => {
  let pins = 3;
  const informer = pinCountInformer(() => pins, 7_000);
  t.match(informer, { name: 'numpin', ttlMs: 7_000 });
  t.equal(await informer.read(options), 3);
  pins = 4;
  t.equal(await informer.read(options), 4);
});
