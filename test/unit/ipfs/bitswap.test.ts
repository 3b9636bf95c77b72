import t from 'tap';
import { Frames } from '../../../src/ipfs/embedded/bitswap/frames.ts';
import {
  type BitswapMessage,
  decodeMessage,
  emptyMessage,
  encodeFrame,
} from '../../../src/ipfs/embedded/bitswap/message.ts';
import { BitswapPeer } from '../../../src/ipfs/embedded/bitswap/peer.ts';
import { ipfsMetrics } from '../../../src/ipfs/metrics.ts';
import { byteString, hex } from '../../../src/model/bytes.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { block, leaf, RAW, type TestBlock, version0 } from '../../suites/dags.ts';

const one = leaf('one');
const metrics = () => ipfsMetrics(noMetrics, { wants: () => 0, bitswapPeers: () => 0, repoBytes: () => 0 });

t.test('a message is what it was after the way over the wire', async (t) => {
  const message: BitswapMessage = {
    wants: [
      { cid: one.cid, kind: 'block', sendDontHave: true },
      { cid: leaf('two').cid, kind: 'have', sendDontHave: false },
      { cid: leaf('three').cid, kind: 'cancel', sendDontHave: false },
    ],
    isFull: true,
    blocks: [{ prefix: one.cid.slice(0, 4), data: one.bytes }],
    presences: [
      { cid: one.cid, has: true },
      { cid: leaf('two').cid, has: false },
    ],
  };
  const [body, ...rest] = [...new Frames(10_000).push(encodeFrame(message))];
  t.equal(rest.length, 0);
  t.same(decodeMessage(body as Uint8Array), message);
});

t.test('the wire form is that of boxo', async (t) => {
  const message = {
    ...emptyMessage(),
    wants: [{ cid: Uint8Array.of(1, 2), kind: 'have' as const, sendDontHave: true }],
  };
  // length 14; wantlist(1): entry(1): block(1)=0102, priority(2)=1, wantType(4)=1, sendDontHave(5)=1
  t.equal(hex(encodeFrame(message)), '0e0a0c0a0a0a02010210012001 2801'.replace(' ', ''));
});

t.test('frames come out whole, however the bytes come in', async (t) => {
  const messages = Array.from({ length: 5 }, (_, at) => ({
    ...emptyMessage(),
    blocks: [{ prefix: Uint8Array.of(at), data: new Uint8Array(at * 100).fill(at) }],
  }));
  const bytes = Buffer.concat(messages.map(encodeFrame));
  for (const pieceBytes of [1, 7, 100, bytes.length]) {
    const frames = new Frames(10_000);
    const decoded: BitswapMessage[] = [];
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      for (const body of frames.push(bytes.subarray(at, at + pieceBytes))) decoded.push(decodeMessage(body));
    }
    t.same(decoded, messages, `pieces of ${pieceBytes}`);
  }
});

t.test('a frame that is too long, or has no end to its length, is refused', async (t) => {
  t.throws(() => [...new Frames(100).push(Uint8Array.of(101))], RangeError);
  t.throws(() => [...new Frames(100).push(new Uint8Array(10).fill(0xff))], RangeError);
  t.throws(() => decodeMessage(Uint8Array.of(0x0a, 0x50, 1)));
});

/** A peer with a store of blocks, and all that was sent to it. */
function peer(blocks: TestBlock[]) {
  const store = new Map(blocks.map((one) => [byteString(one.link.multihash.bytes), one.bytes]));
  const sent: BitswapMessage[] = [];
  const failures: unknown[] = [];
  let gate = Promise.resolve();
  const tested = new BitswapPeer({
    link: {
      send: async (message) => {
        await gate;
        sent.push(message);
      },
      close: () => {},
    },
    blocks: {
      get: async (multihash) => store.get(byteString(multihash)),
      has: async (multihash) => store.has(byteString(multihash)),
    },
    metrics: metrics(),
    onFailure: (cause) => failures.push(cause),
  });
  const idle = async () => {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  const wants = (...entries: BitswapMessage['wants']) => tested.receive({ ...emptyMessage(), wants: entries });
  const put = (one: TestBlock) => store.set(byteString(one.link.multihash.bytes), one.bytes);
  const hold = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    return resolve;
  };
  return { tested, sent, failures, idle, wants, put, hold };
}

t.test('answers what it is asked', async (t) => {
  const { sent, idle, wants } = peer([one]);
  wants(
    { cid: one.cid, kind: 'block', sendDontHave: true },
    { cid: leaf('not here').cid, kind: 'block', sendDontHave: true },
    { cid: leaf('not here either').cid, kind: 'block', sendDontHave: false },
  );
  await idle();
  t.equal(sent.length, 1);
  t.same(sent[0]?.blocks, [{ prefix: one.cid.subarray(0, 4), data: one.bytes }]);
  t.same(sent[0]?.presences, [{ cid: leaf('not here').cid, has: false }]);
  wants({ cid: one.cid, kind: 'have', sendDontHave: true });
  await idle();
  t.same(sent[1], { ...emptyMessage(), presences: [{ cid: one.cid, has: true }] });
});

t.test('a block asked for by a CID of version 0 is told by that', async (t) => {
  const node = block(0x70, Uint8Array.of(10, 0));
  const { sent, idle, wants } = peer([node]);
  wants({ cid: version0(node), kind: 'block', sendDontHave: true });
  await idle();
  t.same(sent[0]?.blocks[0]?.prefix, Uint8Array.of(0, 0x70, 0x12, 0x20));
});

t.test('a block that comes later is sent, once, and not when the want was cancelled', async (t) => {
  const [later, cancelled] = [leaf('later'), leaf('cancelled')];
  const { tested, sent, idle, wants, put } = peer([]);
  wants(
    { cid: later.cid, kind: 'block', sendDontHave: false },
    { cid: cancelled.cid, kind: 'block', sendDontHave: false },
  );
  wants({ cid: cancelled.cid, kind: 'cancel', sendDontHave: false });
  await idle();
  for (const one of [later, cancelled, later]) {
    put(one);
    tested.came(one.link);
    await idle();
  }
  t.equal(sent.length, 1);
  t.same(sent[0]?.blocks[0]?.data, later.bytes);
});

t.test('what is asked at once goes out in messages of bounded size, one at a time', async (t) => {
  const blocks = Array.from({ length: 12 }, (_, at) => block(RAW, new Uint8Array(300_000).fill(at)));
  const { sent, idle, wants, hold } = peer(blocks);
  const release = hold();
  wants(...blocks.map((one) => ({ cid: one.cid, kind: 'block' as const, sendDontHave: true })));
  await idle();
  t.equal(sent.length, 0, 'nothing more is read while a message is on its way');
  release();
  await idle();
  t.equal(sent.flatMap((message) => message.blocks).length, 12);
  for (const message of sent) t.ok(message.blocks.length <= 4, `${message.blocks.length} blocks`);
});

t.test('wants go out together, the latest word on each', async (t) => {
  const { tested, sent, idle } = peer([]);
  tested.tell('a', { cid: one.cid, kind: 'block', sendDontHave: true });
  tested.tell('b', { cid: leaf('two').cid, kind: 'have', sendDontHave: true });
  tested.tell('a', { cid: one.cid, kind: 'cancel', sendDontHave: false });
  await idle();
  t.equal(sent.length, 1);
  t.same(
    sent[0]?.wants.map((entry) => entry.kind),
    ['cancel', 'have'],
  );
});

t.test('a link that fails is told, and tried again with the next message', async (t) => {
  const failures: unknown[] = [];
  let calls = 0;
  const broken = new Error('reset');
  const tested = new BitswapPeer({
    link: { send: () => (calls++ === 0 ? Promise.reject(broken) : Promise.resolve()), close: () => {} },
    blocks: { get: async () => undefined, has: async () => false },
    metrics: metrics(),
    onFailure: (cause) => failures.push(cause),
  });
  tested.tell('a', { cid: one.cid, kind: 'block', sendDontHave: true });
  await new Promise((resolve) => setImmediate(resolve));
  tested.tell('b', { cid: one.cid, kind: 'block', sendDontHave: true });
  await new Promise((resolve) => setImmediate(resolve));
  t.same(failures, [broken]);
  t.equal(calls, 2);
});
