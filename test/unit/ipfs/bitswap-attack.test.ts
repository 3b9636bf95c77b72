import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import t from 'tap';
import { Bitswap } from '../../../src/ipfs/embedded/bitswap/bitswap.ts';
import {
  ANSWER_PATIENCE_MS,
  LEDGER_DUE_MAX,
  LEDGER_ENTRIES_MAX,
  MESSAGE_BYTES_MAX,
  MESSAGE_ENTRIES_MAX,
  OUTGOING_ENTRIES_MAX,
  SENT_ENTRIES_MAX,
  UNFINISHED_BYTES_MAX,
} from '../../../src/ipfs/embedded/bitswap/constants.ts';
import { Frames } from '../../../src/ipfs/embedded/bitswap/frames.ts';
import {
  type BitswapMessage,
  decodeMessage,
  emptyMessage,
  encodeFrame,
} from '../../../src/ipfs/embedded/bitswap/message.ts';
import { BitswapPeer } from '../../../src/ipfs/embedded/bitswap/peer.ts';
import { ipfsMetrics } from '../../../src/ipfs/metrics.ts';
import { byteString } from '../../../src/model/bytes.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { prometheusMetrics } from '../../../src/runtime/prometheus.ts';
import { block, leaf, RAW, type TestBlock } from '../../suites/dags.ts';
import { virtualTime } from '../../support/virtual-time.ts';

/** What a hostile node may do to us, and what it costs: each limit, from the other side of it. */

const want = (cid: Uint8Array, kind: 'block' | 'have' | 'cancel' = 'block', sendDontHave = false) => ({
  cid,
  kind,
  sendDontHave,
});
const turns = async (count = 5) => {
  for (let i = 0; i < count; i++) await nextTurn();
};

function counted() {
  const register = prometheusMetrics({ processMetrics: false });
  const metrics = ipfsMetrics(register, { wants: () => 0, bitswapPeers: () => 0, repoBytes: () => 0 });
  const value = async (name: string) => {
    const line = (await register.expose()).split('\n').find((one) => one.startsWith(`pinfold_ipfs_${name}`));
    return Number(line?.split(' ').at(-1) ?? 0);
  };
  return { metrics, value };
}

function peer(blocks: readonly TestBlock[] = []) {
  const store = new Map(blocks.map((one) => [byteString(one.link.multihash.bytes), one.bytes]));
  const { metrics, value } = counted();
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
    metrics,
    onFailure: (cause) => failures.push(cause),
  });
  const hold = () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    gate = promise;
    return {
      release: resolve,
      fail: (cause: Error) => {
        reject(cause);
        gate = Promise.resolve();
      },
    };
  };
  const wants = (entries: BitswapMessage['wants']) => tested.receive({ ...emptyMessage(), wants: entries });
  return { tested, sent, failures, wants, hold, value };
}

t.test('a flood of wants by a peer that reads nothing is bounded, and counted', async (t) => {
  const { tested, wants, hold, value } = peer([leaf('one')]);
  hold();
  wants([want(leaf('one').cid)]);
  await turns();
  for (let i = 0; i < 12; i++) {
    wants(Array.from({ length: 4_096 }, (_, at) => want(leaf(`flood ${i} ${at}`).cid, 'block', true)));
  }
  const { due, entries } = tested.waiting;
  t.equal(due, LEDGER_DUE_MAX);
  t.equal(entries, LEDGER_ENTRIES_MAX);
  t.equal(await value('refused_total{reason="full"}'), 12 * 4_096 - LEDGER_DUE_MAX);
  wants(Array.from({ length: 4_096 }, (_, at) => want(leaf(`flood 0 ${at}`).cid, 'cancel')));
  t.equal(tested.waiting.due, LEDGER_DUE_MAX - 4_096, 'what is cancelled makes room');
});

t.test('wants of what can be no block cost nothing', async (t) => {
  const { tested, sent, wants, value } = peer();
  const identity = CID.createV1(RAW, createDigest(0, new TextEncoder().encode('the content itself')));
  const long = CID.createV1(RAW, createDigest(0x12, new Uint8Array(100_000)));
  const longDigest = CID.createV1(RAW, createDigest(0x12, new Uint8Array(100)));
  const unknown = CID.createV1(RAW, createDigest(0x22, new Uint8Array(32)));
  wants([identity, long, longDigest, unknown].map(({ bytes }) => want(bytes, 'block', true)));
  await turns();
  t.same(tested.waiting, { outgoing: 0, due: 0, entries: 0 });
  t.same(sent, []);
  t.equal(await value('refused_total{reason="cid"}'), 4);
  t.throws(() => wants([want(Uint8Array.of(1, 2, 3))]), 'what is no CID at all');
});

t.test('a message of very many small entries is refused before it is decoded', async (t) => {
  const wantlist = new Uint8Array(4 * 1024 * 1024);
  for (let at = 0; at < wantlist.length; at += 2) wantlist[at] = 0x0a;
  const message = Buffer.concat([Uint8Array.of(0x0a, 0x80, 0x80, 0x80, 0x02), wantlist]);
  t.throws(() => decodeMessage(message), RangeError);
  for (const field of [0x1a, 0x22]) {
    const entries = new Uint8Array(2 * (MESSAGE_ENTRIES_MAX + 1));
    for (let at = 0; at < entries.length; at += 2) entries[at] = field;
    t.throws(() => decodeMessage(entries), RangeError);
    t.doesNotThrow(() => decodeMessage(entries.subarray(2)));
  }
});

t.test('random and cut messages are decoded or refused, and nothing else', async (t) => {
  const whole = encodeFrame({
    wants: [want(leaf('one').cid)],
    isFull: true,
    blocks: [{ prefix: Uint8Array.of(1, RAW, 0x12, 32), data: new Uint8Array(100) }],
    presences: [{ cid: leaf('two').cid, has: false }],
  }).subarray(2);
  let refused = 0;
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from(whole.subarray(0, 1 + Math.floor(Math.random() * whole.length)));
    for (let flips = i % 4; flips > 0; flips--)
      bytes[Math.floor(Math.random() * bytes.length)] = Math.floor(Math.random() * 256);
    try {
      decodeMessage(bytes);
    } catch (error) {
      refused++;
      if (!(error instanceof Error)) t.fail(String(error));
    }
  }
  t.ok(refused > 1_000);
  t.throws(() => decodeMessage(new Uint8Array(1_000_000).fill(0x2b)), 'groups in groups');
});

t.test('bytes that come one by one cost little more than bytes', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = () => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const length = 1_000_000;
  const frames = new Frames(MESSAGE_BYTES_MAX);
  const frame = encodeFrame({
    ...emptyMessage(),
    blocks: [{ prefix: Uint8Array.of(1), data: new Uint8Array(length).fill(7) }],
  });
  const before = used();
  for (let at = 0; at < length; at++) for (const _ of frames.push(Uint8Array.of(frame[at] as number))) t.fail();
  const cost = used() - before;
  t.ok(cost < 20 * length, `${cost} bytes for ${length}`);
  const [body] = [...frames.push(frame.subarray(length))];
  t.equal(decodeMessage(body as Uint8Array).blocks[0]?.data.length, length);
});

t.test('no message is longer than what the other side takes, and every block gets there', async (t) => {
  const blocks = [900_000, 4 * 1024 * 1024, 500_000, 3_500_000, 1, 2].map((bytes, at) =>
    block(RAW, new Uint8Array(bytes).fill(at)),
  );
  const { sent, wants } = peer(blocks);
  wants(blocks.map(({ cid }) => want(cid)));
  await turns(30);
  t.equal(sent.flatMap((message) => message.blocks).length, blocks.length);
  for (const message of sent) t.ok(encodeFrame(message).length <= MESSAGE_BYTES_MAX);
});

t.test('many wants without an answer do not keep back those that have one', async (t) => {
  const { sent, wants } = peer([leaf('here')]);
  const absent = Array.from({ length: SENT_ENTRIES_MAX + 100 }, (_, at) => want(leaf(`absent ${at}`).cid));
  wants([...absent, want(leaf('here').cid)]);
  await turns(20);
  t.same(sent[0]?.blocks[0]?.data, leaf('here').bytes);
});

t.test('whenever something comes to be said, it is said', async (t) => {
  for (let delay = 0; delay < 20; delay++) {
    const { tested, sent } = peer();
    tested.tell('first', want(leaf('first').cid));
    for (let i = 0; i < delay; i++) await null;
    tested.tell('second', want(leaf('second').cid));
    await turns();
    t.equal(sent.flatMap((message) => message.wants).length, 2, `after ${delay} microtasks`);
  }
});

t.test('what waits for a peer that reads nothing is bounded; then it is told all of it anew', async (t) => {
  const { tested, sent, failures, hold } = peer();
  const gate = hold();
  for (let i = 0; i < 3 * OUTGOING_ENTRIES_MAX; i++) {
    tested.tell(`${i}`, want(leaf('one').cid, 'have'));
    if (i > 5) tested.tell(`${i - 5}`, want(leaf('one').cid, 'cancel'));
    if (i === 0) await turns();
  }
  t.ok(tested.waiting.outgoing <= OUTGOING_ENTRIES_MAX);
  t.equal(failures.length, 1, 'it counts as failed, once');
  gate.release();
  await turns();
  t.equal(sent.length, 2);
  t.equal(sent[1]?.isFull, true);
  t.same(
    sent[1]?.wants.map(({ kind }) => kind),
    ['have', 'have', 'have', 'have', 'have'],
    'the wants there are, and no cancels',
  );
  tested.tell('next', want(leaf('next').cid));
  await turns();
  t.equal(sent[2]?.isFull, false);
});

/** Bitswap over streams in memory: `connect` gives a node's end of it. */
async function swarm() {
  const time = virtualTime();
  const { metrics, value } = counted();
  const events = new EventTarget();
  const dialled = new Map<string, BitswapMessage[]>();
  let onStream: (stream: Stream, connection: Connection) => void = () => {};
  let onConnect: (peer: PeerId) => void = () => {};
  const host = {
    handle: async (_: string, handler: typeof onStream) => {
      onStream = handler;
    },
    unhandle: async () => {},
    register: async (_: string, topology: { onConnect: typeof onConnect }) => {
      onConnect = topology.onConnect;
      return 'topology';
    },
    unregister: () => {},
    addEventListener: events.addEventListener.bind(events),
    removeEventListener: events.removeEventListener.bind(events),
    dialProtocol: async (peer: PeerId) => {
      const frames = new Frames(MESSAGE_BYTES_MAX);
      const send = (bytes: Uint8Array) => {
        for (const frame of frames.push(bytes)) dialled.get(peer.toString())?.push(decodeMessage(frame));
        return true;
      };
      return { status: 'open', writeStatus: 'writable', send, close: async () => {}, abort: () => {} };
    },
  };
  const bitswap = new Bitswap({
    host: host as unknown as Libp2p,
    blocks: { get: async () => undefined, has: async () => false },
    clock: time.clock,
    timers: time.timers,
    logger: silentLogger,
    metrics,
  });
  await bitswap.start();
  t.teardown(() => bitswap.stop());

  function stream(remotePeer: PeerId) {
    const inbound = Object.assign(new EventTarget(), {
      aborted: undefined as unknown,
      close: async () => {},
      abort(cause: unknown) {
        inbound.aborted = cause;
        inbound.dispatchEvent(new Event('close'));
      },
    });
    onStream(inbound as unknown as Stream, { remotePeer } as Connection);
    const raw = (bytes: Uint8Array) => inbound.dispatchEvent(new MessageEvent('message', { data: bytes }));
    return { raw, say: (more: Partial<BitswapMessage>) => raw(encodeFrame({ ...emptyMessage(), ...more })), inbound };
  }

  function connect(name: string) {
    const peerId = { toString: () => name } as PeerId;
    const heard: BitswapMessage[] = [];
    dialled.set(name, heard);
    onConnect(peerId);
    const asked = (one: TestBlock) =>
      heard.flatMap((message) => message.wants).findLast(({ cid }) => Buffer.compare(cid, one.cid) === 0)?.kind;
    return { peerId, heard, asked, ...stream(peerId), another: () => stream(peerId) };
  }
  return { bitswap, connect, time, value };
}

const prefix = Uint8Array.of(1, RAW, 0x12, 32);
const has = (one: TestBlock) => ({ presences: [{ cid: one.cid, has: true }] });

t.test('a node that chatters and does not send the block keeps it from nobody', async (t) => {
  const { bitswap, connect, time, value } = await swarm();
  const hostile = connect('hostile');
  const honest = connect('honest');
  const [one, two] = [leaf('one'), leaf('two')];
  const got = bitswap.want(one.link, { signal: new AbortController().signal });
  await time.advance(1);
  t.equal(hostile.asked(one), 'block');
  honest.say(has(one));
  for (let ms = 0; ms < ANSWER_PATIENCE_MS + 2_000; ms += 1_000) {
    hostile.say({ ...has(one), blocks: [{ prefix, data: Uint8Array.of(1) }] });
    await time.advance(1_000);
  }
  t.equal(honest.asked(one), 'block', 'it is asked for elsewhere in the end');
  honest.say({ blocks: [{ prefix, data: one.bytes }] });
  t.same(await got, one.bytes);
  t.equal(await value('answers_late_total'), 1);

  const next = bitswap.want(two.link, { signal: new AbortController().signal });
  await time.advance(1);
  t.equal(honest.asked(two), 'block', 'who answers is asked first from then on');
  bitswap.reask();
  await time.advance(1);
  t.equal(honest.asked(two), 'block');
  honest.say({ blocks: [{ prefix, data: two.bytes }] });
  t.same(await next, two.bytes);
});

t.test('blocks that nobody asked for, or that are not what was asked for, are passed over', async (t) => {
  const { bitswap, connect, value } = await swarm();
  const node = connect('node');
  node.say({ blocks: [{ prefix, data: leaf('a present').bytes }] });
  const got = bitswap.want(leaf('wanted').link, { signal: new AbortController().signal });
  const identity = Uint8Array.of(1, RAW, 0, 6);
  node.say({ blocks: [{ prefix: leaf('wanted').cid, data: leaf('another').bytes }] });
  node.say({ blocks: [{ prefix: identity, data: leaf('wanted').bytes }] });
  node.say({ blocks: [{ prefix: new Uint8Array(), data: leaf('wanted').bytes }] });
  t.equal(bitswap.wants, 1);
  t.equal(await value('blocks_received_total{use="unwanted"}'), 4);
  node.say({ blocks: [{ prefix, data: leaf('wanted').bytes }] });
  t.same(await got, leaf('wanted').bytes);
  t.equal(bitswap.wants, 0);
  t.equal(node.inbound.aborted, undefined);
});

t.test('a stream with what is no message is reset, and only that', async (t) => {
  const { connect, value } = await swarm();
  const node = connect('node');
  const streams = Array.from({ length: 4 }, () => node.another());
  streams[0]?.raw(new Uint8Array(8).fill(0xff));
  streams[1]?.raw(Uint8Array.of(0x80, 0x80, 0x80, 0x08));
  streams[2]?.raw(Uint8Array.of(3, 0x0a, 0x50, 1));
  streams[3]?.say({ presences: [{ cid: Uint8Array.of(9, 9), has: true }] });
  for (const { inbound } of streams) t.ok(inbound.aborted instanceof Error);
  t.equal(await value('refused_total{reason="oversized"}'), 2);
  t.equal(await value('refused_total{reason="malformed"}'), 2);
  t.equal(node.inbound.aborted, undefined);
});

t.test('messages begun on many streams are bounded together', async (t) => {
  const { connect, value } = await swarm();
  const node = connect('node');
  const begun = Buffer.concat([Uint8Array.of(0x80, 0x80, 0x80, 0x02), new Uint8Array(4 * 1024 * 1024 - 1)]);
  const streams = Array.from({ length: 8 }, () => node.another());
  for (const { raw } of streams) raw(begun);
  const alive = streams.filter(({ inbound }) => inbound.aborted === undefined);
  t.ok(alive.length * begun.length <= UNFINISHED_BYTES_MAX, `${alive.length} streams are left`);
  t.equal(await value('refused_total{reason="buffer"}'), streams.length - alive.length);
  for (const { inbound } of alive) inbound.dispatchEvent(new Event('close'));
  const next = node.another();
  next.raw(begun);
  t.equal(next.inbound.aborted, undefined, 'what was closed counts no more');
  next.raw(Uint8Array.of(0));
});

t.test('blocks are told by any of the hashes that are checked here', async (t) => {
  const { bitswap, connect } = await swarm();
  const node = connect('node');
  const bytes = leaf('of another hash').bytes;
  const digest = createDigest(0x13, createHash('sha512').update(bytes).digest());
  const got = bitswap.want(CID.createV1(RAW, digest), { signal: new AbortController().signal });
  node.say({ blocks: [{ prefix: Uint8Array.of(1, RAW, 0x13, 64), data: bytes }] });
  t.same(await got, bytes);
});
