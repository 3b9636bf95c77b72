import { randomBytes } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import type { Stream } from '@libp2p/interface';
import type { Test } from 'tap';
import t from 'tap';
import {
  GetStatusesRequestSchema,
  HelloRequestSchema,
  SyncRequestSchema,
  SyncResponseSchema,
  WatchStatusRequestSchema,
} from '../../../gen/pinfold/peer/v1/service_pb.ts';
import {
  RPC_HEAD_TIMEOUT_MS,
  RPC_PROTOCOL,
  RPC_REQUEST_TIMEOUT_MS,
  RPC_SILENCE_MAX_MS,
  RPC_WRITE_TIMEOUT_MS,
} from '../../../src/network/constants.ts';
import type { Network } from '../../../src/network/network.ts';
import { peerMethods } from '../../../src/network/peer-methods.ts';
import { callUnary } from '../../../src/network/rpc/client.ts';
import type { Frame, FrameKind } from '../../../src/network/rpc/frame.ts';
import { encodeFrames, FRAME, NO_PAYLOAD } from '../../../src/network/rpc/frame.ts';
import { encodeHead } from '../../../src/network/rpc/head.ts';
import type { Timers } from '../../../src/runtime/clock.ts';
import { systemTimers } from '../../../src/runtime/clock.ts';
import { codeOf, collect, eventually, forever, handlers, startAll } from '../../suites/network.suite.ts';
import { countingMetrics, createNetwork, hurrying, rawNode } from './libp2p-helpers.ts';

const head = (method: string): Frame => ({ kind: FRAME.HEAD, payload: encodeHead(method) });
const message = (payload: Uint8Array): Frame => ({ kind: FRAME.MESSAGE, payload });
const end: Frame = { kind: FRAME.END, payload: NO_PAYLOAD };

function frameHeader(kind: number, length: number): Uint8Array {
  const bytes = new Uint8Array(5);
  bytes[0] = kind;
  new DataView(bytes.buffer).setUint32(1, length);
  return bytes;
}

function lengthened(frame: Uint8Array, by: number): Uint8Array {
  const longer = frame.slice();
  new DataView(longer.buffer).setUint32(1, new DataView(frame.buffer).getUint32(1) + by);
  return longer;
}

/** What a stream may bring, and how it is counted. */
const badStreams: { what: string; reason: string; bytes: Uint8Array; close?: boolean }[] = [
  { what: 'noise', reason: 'malformed', bytes: Uint8Array.of(255, ...randomBytes(1_000)) },
  { what: 'text of another protocol', reason: 'malformed', bytes: Buffer.from('GET / HTTP/1.1\r\n\r\n') },
  { what: 'a call without a head', reason: 'malformed', bytes: encodeFrames([end]) },
  {
    what: 'a head that cannot be read',
    reason: 'malformed',
    bytes: encodeFrames([{ ...head(''), payload: Uint8Array.of(10, 99) }]),
  },
  { what: 'a head without a method', reason: 'malformed', bytes: encodeFrames([{ ...head(''), payload: NO_PAYLOAD }]) },
  { what: 'a head that is too long', reason: 'oversized', bytes: frameHeader(FRAME.HEAD, 2 ** 32 - 1) },
  {
    what: 'a request that is too long',
    reason: 'oversized',
    bytes: Buffer.concat([encodeFrames([head('GetStatuses')]), frameHeader(FRAME.MESSAGE, 2 ** 31)]),
  },
  {
    what: 'a request that is no such message',
    reason: 'malformed',
    bytes: encodeFrames([head('GetStatuses'), message(Uint8Array.of(10, 200, 1, 1)), end]),
  },
  {
    what: 'a trailer from the caller',
    reason: 'malformed',
    bytes: encodeFrames([head('GetStatuses'), { ...end, kind: FRAME.TRAILER }]),
  },
  { what: 'half a frame', reason: 'truncated', bytes: lengthened(encodeFrames([head('Hello')]), 1), close: true },
  { what: 'half a call', reason: 'truncated', bytes: encodeFrames([head('GetStatuses')]), close: true },
];

async function served(t: Test, timers: Timers = systemTimers) {
  const metrics = countingMetrics();
  const network = createNetwork(1, { needs: { metrics: metrics.register, timers } });
  const friend = createNetwork(2);
  network.rpc.serve(handlers());
  await startAll(t, [network, friend]);
  await friend.dial(network.addresses()[0] as string, { signal: forever() });
  const { node, open } = await rawNode(t, network);
  const refused = (reason: string) => metrics.count('pinfold_rpc_refused_total', reason);
  return { network, friend, node, open, refused };
}

async function stillServes(friend: Network, network: Network): Promise<boolean> {
  const request = create(GetStatusesRequestSchema, { cids: [Uint8Array.of(1)] });
  const { rows } = await callUnary(friend.rpc, network.peerId, 'getStatuses', request, { signal: forever() });
  return rows.length === 1;
}

function isReset(stream: Stream): boolean {
  return stream.status === 'reset' || stream.status === 'aborted' || stream.status === 'closed';
}

t.test('bad streams are reset and counted, and others are served on', async (t) => {
  const { network, friend, open, refused } = await served(t);
  for (const { what, reason, bytes, close } of badStreams) {
    const before = refused(reason);
    const stream = await open();
    stream.send(bytes);
    if (close === true) await stream.close();
    await eventually(`${what} is counted`, () => refused(reason) === before + 1);
    await eventually(`the stream of ${what} is reset`, () => isReset(stream));
    t.ok(await stillServes(friend, network), what);
  }
});

t.test('random bytes of any length bring nothing down', async (t) => {
  const { network, friend, open } = await served(t);
  for (let round = 0; round < 100; round++) {
    const stream = await open();
    stream.send(randomBytes(1 + ((round * 37) % 2_000)));
    if (round % 2 === 0) stream.abort(new Error('gone'));
    else await stream.close().catch(() => {});
  }
  t.ok(await stillServes(friend, network));
});

t.test('an unknown method is UNIMPLEMENTED and the stream goes on', async (t) => {
  const { open, refused } = await served(t);
  const stream = await open();
  const answers: number[] = [];
  stream.addEventListener('message', ({ data }) => answers.push(...data.subarray()));
  stream.send(encodeFrames([head('SelfDestruct'), message(new Uint8Array(100)), end]));
  await eventually('the trailer is there', () => answers.length > 5);
  t.equal(answers[0], FRAME.TRAILER);
  t.match(Buffer.from(answers).toString('latin1'), 'UNIMPLEMENTED');
  t.equal(refused('unknown_method'), 1);
  answers.length = 0;
  const request = toBinary(HelloRequestSchema, create(HelloRequestSchema));
  stream.send(encodeFrames([head('Hello'), message(request), end]));
  await eventually('the next call is answered', () => answers.length > 0);
  t.equal(answers[0], FRAME.MESSAGE);
});

t.test('callers that fall silent lose their stream', async (t) => {
  for (const [timeoutMs, frames] of [
    [RPC_HEAD_TIMEOUT_MS, []],
    [RPC_REQUEST_TIMEOUT_MS, [head('GetStatuses')]],
  ] as const) {
    const { network, friend, open, refused } = await served(t, hurrying(timeoutMs));
    const stream = await open();
    stream.send(frames.length === 0 ? frameHeader(FRAME.HEAD, 10) : encodeFrames(frames));
    await eventually('the stream is reset and counted', () => refused('silent') === 1 && isReset(stream));
    t.ok(await stillServes(friend, network));
    await Promise.all([network.stop(), friend.stop()]);
  }
});

t.test('a deadline that passes while the handler waits for a request is answered', async (t) => {
  const { network, open } = await served(t, hurrying(peerMethods.getStatuses.deadlineMs as number));
  const stream = await open();
  const answers: number[] = [];
  stream.addEventListener('message', ({ data }) => answers.push(...data.subarray()));
  stream.send(encodeFrames([head('GetStatuses')]));
  await eventually('the trailer is there', () => answers.length > 5);
  t.match(Buffer.from(answers).toString('latin1'), 'DEADLINE');
  t.ok(network.peerId);
});

t.test('a caller that reads nothing loses the call, and the handler hears of it', async (t) => {
  const metrics = countingMetrics();
  const needs = { metrics: metrics.register, timers: hurrying(RPC_WRITE_TIMEOUT_MS) };
  const network = createNetwork(1, { needs });
  let ended = false;
  network.rpc.serve(
    handlers({
      async *sync() {
        try {
          const signature = new Uint8Array(1024 * 1024);
          for (;;)
            yield create(SyncResponseSchema, { message: { case: 'batches', value: { batches: [{ signature }] } } });
        } finally {
          ended = true;
        }
      },
    }),
  );
  await startAll(t, [network]);
  const { open } = await rawNode(t, network);
  const stream = await open();
  stream.pause();
  stream.send(encodeFrames([head('Sync'), message(toBinary(SyncRequestSchema, create(SyncRequestSchema))), end]));
  await eventually('it is counted', () => metrics.count('pinfold_rpc_refused_total', 'slow_reader') === 1);
  await eventually('the handler has ended', () => ended);
  t.ok(ended);
});

t.test('callees that answer nonsense, or nothing, are PEER_UNREACHABLE or DEADLINE', async (t) => {
  const metrics = countingMetrics();
  const timers = hurrying(RPC_SILENCE_MAX_MS / 4, peerMethods.hello.deadlineMs as number);
  let nowMs = 0;
  let stepMs = 0;
  const clock = {
    nowMs: () => 0,
    monotonicMs: () => {
      nowMs += stepMs;
      return nowMs;
    },
  };
  const network = createNetwork(1, { needs: { metrics: metrics.register, timers, clock } });
  await startAll(t, [network]);
  const { node, open } = await rawNode(t, network);
  let answer: Uint8Array | undefined;
  await node.handle(RPC_PROTOCOL, (stream) => {
    if (answer !== undefined) stream.send(answer);
  });
  await open('/ipfs/id/1.0.0');
  const peerId = node.peerId.toString();
  const options = { signal: forever() };
  const call = () =>
    codeOf(collect(network.rpc.call(peerId, 'watchStatus', [create(WatchStatusRequestSchema)], options)));
  const nonsense: [string, Uint8Array][] = [
    ['malformed', randomBytes(100).fill(255, 0, 1)],
    ['malformed', encodeFrames([head('Hello')])],
    ['malformed', encodeFrames([message(Uint8Array.of(18, 99))])],
    ['malformed', encodeFrames([{ kind: FRAME.TRAILER, payload: Uint8Array.of(18, 99) }])],
    ['oversized', frameHeader(FRAME.MESSAGE, peerMethods.watchStatus.responseBytesMax + 1)],
    ['oversized', frameHeader(FRAME.TRAILER as FrameKind, 2 ** 32 - 1)],
  ];
  for (const [reason, bytes] of nonsense) {
    const before = metrics.count('pinfold_rpc_refused_total', reason);
    answer = bytes;
    t.equal(await call(), 'PEER_UNREACHABLE');
    t.equal(metrics.count('pinfold_rpc_refused_total', reason), before + 1, reason);
  }
  answer = undefined;
  stepMs = RPC_SILENCE_MAX_MS;
  t.equal(await call(), 'PEER_UNREACHABLE', 'a stream that stays silent');
  t.equal(await codeOf(callUnary(network.rpc, peerId, 'hello', create(HelloRequestSchema), options)), 'DEADLINE');
});

t.test('garbage on a gossip stream brings nothing down', async (t) => {
  const heard: number[] = [];
  const a = createNetwork(1);
  const b = createNetwork(2);
  const subscriber = (list: number[]) => ({
    id: (message: Uint8Array) => {
      if (message.length > 1) throw new Error('not ours');
      return message;
    },
    receive: (message: Uint8Array) => {
      list.push(message[0] as number);
      return 'accept' as const;
    },
  });
  a.gossip.subscribe('batches', subscriber([]));
  b.gossip.subscribe('batches', subscriber(heard));
  await startAll(t, [a, b]);
  await a.dial(b.addresses()[0] as string, { signal: forever() });
  const { open } = await rawNode(t, b);
  for (let round = 0; round < 20; round++) {
    const stream = await open('/meshsub/1.1.0');
    // Only a few streams are open to one peer; the others are reset at once.
    if (stream.writeStatus === 'writable') stream.send(randomBytes(1 + round * 50));
  }
  let number = 0;
  await eventually('gossip flows', () => {
    a.gossip.publish('batches', Uint8Array.of(++number % 256));
    return heard.length > 0;
  });
  t.ok(heard.length > 0);
});
