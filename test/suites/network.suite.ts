import { create } from '@bufbuild/protobuf';
import type { Test } from 'tap';
import {
  GetBucketsResponseSchema,
  GetDigestsResponseSchema,
  RepairBucketsResponseSchema,
} from '../../gen/pinfold/peer/v1/repair_pb.ts';
import {
  AcknowledgeResponseSchema,
  ExplainWishResponseSchema,
  GetClockResponseSchema,
  GetConnectionsResponseSchema,
  GetStatusesRequestSchema,
  GetStatusesResponseSchema,
  HelloRequestSchema,
  HelloResponseSchema,
  ListHeadersResponseSchema,
  ListStatusesRequestSchema,
  ListStatusesResponseSchema,
  MergeRangeRequestSchema,
  MergeRangeResponseSchema,
  OfferBatchesResponseSchema,
  RecoverRequestSchema,
  ReportUntrustedResponseSchema,
  SetDrainingResponseSchema,
  StatusRowSchema,
  SyncRequestSchema,
  SyncResponseSchema,
  TellForkResponseSchema,
  WatchStatusRequestSchema,
  WatchStatusResponseSchema,
} from '../../gen/pinfold/peer/v1/service_pb.ts';
import { byteString } from '../../src/model/bytes.ts';
import { encodedBy } from '../../src/model/encoded-form.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import { isPinfoldError, PinfoldError } from '../../src/model/errors.ts';
import { GOSSIP_MESSAGE_BYTES_MAX } from '../../src/network/constants.ts';
import type { Network, Topic } from '../../src/network/network.ts';
import type { PeerPolicy, PeerRpcHandlers } from '../../src/network/peer-methods.ts';
import { callUnary } from '../../src/network/rpc/client.ts';

/** What a kind of network gives the suite. */
export interface NetworkWorld {
  /** A network that is not started, of a peer of its own; `index` makes it another one. */
  create(t: Test, index: number, policy: PeerPolicy): Network;
}

export const everyone: PeerPolicy = { isMember: () => true, isTrusted: () => true };
const WAIT_MS = 20_000;

/** Waits for what must come, without guessing how long it takes. */
export async function eventually(what: string, holds: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + WAIT_MS;
  while (!holds()) {
    if (performance.now() > giveUpMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function forever(): AbortSignal {
  return new AbortController().signal;
}

export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | 'none' | 'untyped'> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return isPinfoldError(error) ? error.code : 'untyped';
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Handlers that answer something, to be overridden one by one. */
export function handlers(own: Partial<PeerRpcHandlers> = {}): PeerRpcHandlers {
  return {
    async *hello() {
      yield create(HelloResponseSchema);
    },
    async *getClock() {
      yield create(GetClockResponseSchema);
    },
    async *acknowledge() {
      yield create(AcknowledgeResponseSchema);
    },
    async *sync() {
      yield create(SyncResponseSchema);
    },
    async *mergeRange() {
      yield create(MergeRangeResponseSchema);
    },
    async *explainWish() {
      yield create(ExplainWishResponseSchema);
    },
    async *getConnections() {
      yield create(GetConnectionsResponseSchema);
    },
    async *listHeaders() {
      yield create(ListHeadersResponseSchema);
    },
    async *tellFork() {
      yield create(TellForkResponseSchema);
    },
    async *offerBatches() {
      yield create(OfferBatchesResponseSchema);
    },
    async *getDigests() {
      yield create(GetDigestsResponseSchema);
    },
    async *getBuckets() {
      yield create(GetBucketsResponseSchema);
    },
    async *setDraining() {
      yield create(SetDrainingResponseSchema);
    },
    async *collectGarbage() {},
    async *putBlocks() {},
    async *getBlocks() {},
    async *repairBuckets() {
      yield create(RepairBucketsResponseSchema);
    },
    async *getStatuses(requests) {
      for await (const { cids } of requests) {
        yield create(GetStatusesResponseSchema, { rows: cids.map((cid) => create(StatusRowSchema, { cid })) });
      }
    },
    async *listStatuses() {
      yield create(ListStatusesResponseSchema);
    },
    async *watchStatus() {
      yield create(WatchStatusResponseSchema);
    },
    async *recover() {},
    async *reportUntrusted() {
      yield create(ReportUntrustedResponseSchema);
    },
    ...own,
  };
}

interface PairOptions {
  handlers?: Partial<PeerRpcHandlers>;
  policy?: PeerPolicy;
}

/** Two started networks, the first of which has dialled the second; stopped when the test ends. */
export async function pair(t: Test, world: NetworkWorld, options: PairOptions = {}): Promise<[Network, Network]> {
  const a = world.create(t, 1, everyone);
  const b = world.create(t, 2, options.policy ?? everyone);
  a.rpc.serve(handlers());
  b.rpc.serve(handlers(options.handlers));
  await startAll(t, [a, b]);
  await a.dial(b.addresses()[0] as string, { signal: forever() });
  return [a, b];
}

export async function startAll(t: Test, networks: readonly Network[]): Promise<void> {
  // Timers of the system do not keep the process alive, and a network in memory has nothing else.
  const alive = setInterval(() => {}, 1_000);
  t.teardown(async () => {
    await Promise.all(networks.map((network) => network.stop()));
    clearInterval(alive);
  });
  for (const network of networks) await network.start();
}

/** The contract of `Network`. */
export function networkSuite(t: Test, world: NetworkWorld): void {
  t.test('peers', (t) => {
    peersSuite(t, world);
    t.end();
  });
  t.test('calls', (t) => {
    callsSuite(t, world);
    t.end();
  });
  t.test('gossip', (t) => {
    gossipSuite(t, world);
    t.end();
  });
}

function peersSuite(t: Test, world: NetworkWorld): void {
  t.test('a peer has addresses once it is up, and dialling one gives its ID', async (t) => {
    const a = world.create(t, 1, everyone);
    const b = world.create(t, 2, everyone);
    t.strictSame(b.addresses(), []);
    await startAll(t, [a, b]);
    const address = b.addresses()[0] as string;
    t.ok(address.endsWith(`/p2p/${b.peerId}`));
    t.equal(await a.dial(address, { signal: forever() }), b.peerId);
    t.strictSame(a.connected(), [b.peerId]);
    await eventually('both are connected', () => b.connected().includes(a.peerId));
  });

  t.test('who listens hears of peers that come and go', async (t) => {
    const [a, b, c] = [1, 2, 3].map((index) => world.create(t, index, everyone)) as [Network, Network, Network];
    const heard: string[] = [];
    const deaf: string[] = [];
    a.onConnection((peerId, up) => heard.push(`${peerId} ${up}`));
    a.onConnection((peerId) => deaf.push(peerId))();
    await startAll(t, [a, b, c]);
    await a.dial(b.addresses()[0] as string, { signal: forever() });
    await b.stop();
    await eventually('the peer is gone', () => heard.length === 2);
    t.strictSame(heard, [`${b.peerId} true`, `${b.peerId} false`]);
    t.strictSame(deaf, []);
    t.strictSame(a.connected(), []);
    t.strictSame(c.connected(), []);
  });

  t.test('dialling nobody is PEER_UNREACHABLE, nonsense INVALID_ARGUMENT, an aborted signal CANCELLED', async (t) => {
    const [a, b] = await pair(t, world);
    const address = b.addresses()[0] as string;
    await b.stop();
    await eventually('the peer is gone', () => a.connected().length === 0);
    t.equal(await codeOf(a.dial(address, { signal: forever() })), 'PEER_UNREACHABLE');
    t.equal(await codeOf(a.dial('not an address', { signal: forever() })), 'INVALID_ARGUMENT');
    t.equal(await codeOf(a.dial(address, { signal: AbortSignal.abort() })), 'CANCELLED');
  });

  t.test('remembered peers are connected to without being asked to', async (t) => {
    const a = world.create(t, 1, everyone);
    const b = world.create(t, 2, everyone);
    await startAll(t, [a, b]);
    a.remember(b.peerId, b.addresses());
    await eventually('they are connected', () => a.connected().includes(b.peerId));
    t.strictSame(a.connected(), [b.peerId]);
  });

  t.test('a network that never started can be stopped', async (t) => {
    const network = world.create(t, 1, everyone);
    await t.resolves(network.stop());
  });
}

const cidOf = (n: number) => Uint8Array.from([1, 85, n >> 8, n & 255]);

async function statusOf(from: Network, to: Network, n: number): Promise<number> {
  const request = create(GetStatusesRequestSchema, { cids: [cidOf(n)] });
  const { rows } = await callUnary(from.rpc, to.peerId, 'getStatuses', request, { signal: forever() });
  const cid = rows[0]?.cid as Uint8Array;
  return ((cid[2] as number) << 8) | (cid[3] as number);
}

function callsSuite(t: Test, world: NetworkWorld): void {
  t.test('300 calls one after another, each with its own answer', async (t) => {
    const [a, b] = await pair(t, world);
    for (let n = 0; n < 300; n++) if ((await statusOf(a, b, n)) !== n) t.fail(`call ${n} got another's answer`);
    t.equal(await statusOf(b, a, 7), 7, 'and the other way');
  });

  t.test('64 calls at once', async (t) => {
    const [a, b] = await pair(t, world);
    const numbers = Array.from({ length: 64 }, (_, n) => n);
    t.strictSame(await Promise.all(numbers.map((n) => statusOf(a, b, n))), numbers);
  });

  t.test('the handler is told who calls', async (t) => {
    const callers: string[] = [];
    const [a, b] = await pair(t, world, {
      handlers: {
        async *hello(_, { peerId }) {
          callers.push(peerId);
          yield create(HelloResponseSchema);
        },
      },
    });
    await callUnary(a.rpc, b.peerId, 'hello', create(HelloRequestSchema), { signal: forever() });
    t.strictSame(callers, [a.peerId]);
  });

  t.test('streams keep their order, in both directions, and take messages that exist as bytes only', async (t) => {
    const received: number[] = [];
    const [a, b] = await pair(t, world, {
      handlers: {
        async *mergeRange(requests) {
          for await (const { from } of requests) received.push(from);
          // RangeEnd {to: n}, the third of the oneof, by hand.
          for (let n = 1; n <= 100; n++)
            yield encodedBy(create(MergeRangeResponseSchema), () => Uint8Array.from([26, 2, 8, n]));
        },
      },
    });
    async function* requests() {
      for (const from of [3, 1, 2]) yield create(MergeRangeRequestSchema, { from });
    }
    const answers = await collect(a.rpc.call(b.peerId, 'mergeRange', requests(), { signal: forever() }));
    t.strictSame(received, [3, 1, 2]);
    const ends = answers.map(({ message }) => (message.case === 'end' ? message.value.to : undefined));
    t.strictSame(
      ends,
      Array.from({ length: 100 }, (_, n) => n + 1),
    );
  });

  t.test('an error comes back with its code, message and facts', async (t) => {
    const [a, b] = await pair(t, world, {
      handlers: {
        async *listStatuses() {
          yield create(ListStatusesResponseSchema);
          throw new PinfoldError('HISTORY_GONE', 'gone', {
            facts: { since: '7' },
            retryAfterMs: 1_500,
            fields: [{ field: 'after_cid', problem: 'odd' }],
          });
        },
      },
    });
    const call = a.rpc.call(b.peerId, 'listStatuses', [create(ListStatusesRequestSchema)], { signal: forever() });
    const error = await collect(call).catch((failure: unknown) => failure);
    t.match(error, {
      code: 'HISTORY_GONE',
      message: 'gone',
      details: { facts: { since: '7' }, retryAfterMs: 1_500, fields: [{ field: 'after_cid', problem: 'odd' }] },
    });
  });

  t.test('any other failure of a handler is INTERNAL and tells nothing', async (t) => {
    const [a, b] = await pair(t, world, {
      handlers: {
        recover() {
          throw new Error('the password is 1234');
        },
        async *getClock() {},
      },
    });
    const options = { signal: forever() };
    const error = await collect(a.rpc.call(b.peerId, 'recover', [create(RecoverRequestSchema)], options)).catch(
      (e) => e,
    );
    t.equal(error.code, 'INTERNAL');
    t.notMatch(error.message, /1234/);
    t.equal(await codeOf(collect(a.rpc.call(b.peerId, 'getClock', [], options))), 'INTERNAL', 'unary without answer');
    t.equal(await statusOf(a, b, 1), 1, 'and calls go on');
  });

  t.test('leaving the iteration early cancels the call at the callee', async (t) => {
    let reason: unknown;
    const [a, b] = await pair(t, world, {
      handlers: {
        async *watchStatus(_, { signal }) {
          yield create(WatchStatusResponseSchema, { revision: 1n });
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
          reason = signal.reason;
        },
      },
    });
    const request = create(WatchStatusRequestSchema);
    for await (const { revision } of a.rpc.call(b.peerId, 'watchStatus', [request], { signal: forever() })) {
      t.equal(revision, 1n);
      break;
    }
    await eventually('the handler has heard of it', () => reason !== undefined);
    t.match(reason, { code: 'CANCELLED' });
    t.equal(await statusOf(a, b, 1), 1, 'and calls go on');
  });

  t.test('the signal ends a call: CANCELLED, or DEADLINE for a timeout', async (t) => {
    const [a, b] = await pair(t, world, {
      handlers: {
        async *watchStatus(_, { signal }) {
          yield create(WatchStatusResponseSchema);
          await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        },
      },
    });
    const controller = new AbortController();
    const watch = (signal: AbortSignal) =>
      collect(a.rpc.call(b.peerId, 'watchStatus', [create(WatchStatusRequestSchema)], { signal }));
    const cancelled = codeOf(watch(controller.signal));
    await statusOf(a, b, 1);
    controller.abort();
    t.equal(await cancelled, 'CANCELLED');
    t.equal(await codeOf(watch(AbortSignal.timeout(50))), 'DEADLINE');
    t.equal(await codeOf(watch(AbortSignal.abort(new PinfoldError('SHUTTING_DOWN', 'bye')))), 'SHUTTING_DOWN');
  });

  t.test('a reader that does not read holds the sender', async (t) => {
    const messageBytes = 64 * 1024;
    const total = 1_000;
    let sent = 0;
    const [a, b] = await pair(t, world, {
      handlers: {
        async *sync() {
          const signature = new Uint8Array(messageBytes);
          for (; sent < total; sent++) {
            yield create(SyncResponseSchema, { message: { case: 'batches', value: { batches: [{ signature }] } } });
          }
        },
      },
    });
    const call = a.rpc.call(b.peerId, 'sync', [create(SyncRequestSchema)], { signal: forever() });
    const responses = call[Symbol.asyncIterator]();
    await responses.next();
    let before = -1;
    // Held means: nothing more is sent while many other calls go through.
    while (sent !== before) {
      before = sent;
      for (let n = 0; n < 50; n++) await statusOf(a, b, n);
    }
    t.ok(sent < total / 4, `${sent} messages of 64 KiB were sent ahead`);
    let read = 1;
    while ((await responses.next()).done !== true) read++;
    t.equal(read, total);
  });

  t.test('who may call what', async (t) => {
    const friends = new Set<string>();
    const policy: PeerPolicy = { isMember: (peerId) => friends.has(peerId), isTrusted: () => false };
    const [a, b] = await pair(t, world, { policy });
    const options = { signal: forever() };
    const hello = callUnary(a.rpc, b.peerId, 'hello', create(HelloRequestSchema), options);
    t.equal(await codeOf(hello), 'none', 'anyone says hello');
    t.equal(await codeOf(statusOf(a, b, 1)), 'PERMISSION_DENIED', 'a stranger asks nothing else');
    friends.add(a.peerId);
    t.equal(await codeOf(statusOf(a, b, 1)), 'none', 'a member does');
    const recover = () => collect(a.rpc.call(b.peerId, 'recover', [create(RecoverRequestSchema)], options));
    t.equal(await codeOf(recover()), 'PERMISSION_DENIED', 'recover is for trusted peers');
  });

  t.test('more calls at once than the table allows are LIMIT_REACHED, and places come back', async (t) => {
    const gate = Promise.withResolvers<void>();
    let serving = 0;
    const [a, b] = await pair(t, world, {
      handlers: {
        async *hello() {
          serving++;
          await gate.promise;
          yield create(HelloResponseSchema);
        },
        async *mergeRange() {
          serving++;
          await gate.promise;
          yield create(MergeRangeResponseSchema);
        },
      },
    });
    const hello = () => codeOf(callUnary(a.rpc, b.peerId, 'hello', create(HelloRequestSchema), { signal: forever() }));
    const mergeRange = () =>
      codeOf(collect(a.rpc.call(b.peerId, 'mergeRange', [create(MergeRangeRequestSchema)], { signal: forever() })));
    const held = [hello(), hello(), hello(), hello(), mergeRange()];
    await eventually('all are being served', () => serving === 5);
    t.equal(await hello(), 'LIMIT_REACHED', 'the callee serves 4 of one caller');
    t.equal(await mergeRange(), 'LIMIT_REACHED', 'the caller asks 1');
    gate.resolve();
    t.strictSame(await Promise.all(held), ['none', 'none', 'none', 'none', 'none']);
    t.equal(await hello(), 'none');
    t.equal(await mergeRange(), 'none');
  });

  t.test('requests and responses above the limit of the method go nowhere', async (t) => {
    const [a, b] = await pair(t, world, {
      handlers: {
        async *listStatuses() {
          yield create(ListStatusesResponseSchema, { rows: [{ error: 'x'.repeat(3 * 1024 * 1024) }] });
        },
      },
    });
    const options = { signal: forever() };
    const request = create(ListStatusesRequestSchema, { afterCid: new Uint8Array(64 * 1024) });
    t.equal(await codeOf(collect(a.rpc.call(b.peerId, 'listStatuses', [request], options))), 'INVALID_ARGUMENT');
    t.equal(await codeOf(collect(a.rpc.call(b.peerId, 'listStatuses', [], options))), 'INTERNAL');
    t.equal(await statusOf(a, b, 1), 1, 'and calls go on');
  });

  t.test('a peer that is gone, or was never known, is PEER_UNREACHABLE', async (t) => {
    const [a, b] = await pair(t, world, {
      handlers: {
        async *watchStatus(_, { signal }) {
          yield create(WatchStatusResponseSchema);
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
          throw signal.reason;
        },
      },
    });
    const request = create(WatchStatusRequestSchema);
    const watching = a.rpc.call(b.peerId, 'watchStatus', [request], { signal: forever() })[Symbol.asyncIterator]();
    await watching.next();
    const stopped = b.stop();
    t.equal(await codeOf(watching.next()), 'SHUTTING_DOWN', 'a peer that stops says so to who is waiting');
    await stopped;
    await eventually('the peer is gone', () => a.connected().length === 0);
    t.equal(await codeOf(statusOf(a, b, 1)), 'PEER_UNREACHABLE');
    const nobody = world.create(t, 9, everyone);
    t.equal(await codeOf(statusOf(a, nobody, 1)), 'PEER_UNREACHABLE');
  });

  t.test('a remembered peer is dialled by the call', async (t) => {
    const a = world.create(t, 1, everyone);
    const b = world.create(t, 2, everyone);
    b.rpc.serve(handlers());
    await startAll(t, [a, b]);
    a.remember(b.peerId, b.addresses());
    t.equal(await statusOf(a, b, 5), 5);
  });
}

function gossipSuite(t: Test, world: NetworkWorld): void {
  t.test('reaches all, also through others, once each; what is ignored or rejected goes no further', async (t) => {
    const [a, b, c] = [1, 2, 3].map((index) => world.create(t, index, everyone)) as [Network, Network, Network];
    const heard = new Map<Network, string[]>();
    for (const network of [a, b, c]) {
      heard.set(network, []);
      network.gossip.subscribe('batches', {
        id: (message) => message.subarray(0, 8),
        receive: (message) => {
          const text = byteString(message);
          heard.get(network)?.push(text);
          if (text.endsWith('bad')) return 'reject';
          return text.endsWith('odd') ? 'ignore' : 'accept';
        },
      });
    }
    await startAll(t, [a, b, c]);
    // A chain: what a says comes to c through b only.
    await a.dial(b.addresses()[0] as string, { signal: forever() });
    await b.dial(c.addresses()[0] as string, { signal: forever() });
    const say = (number: number, text: string) =>
      a.gossip.publish('batches', Buffer.from(`${String(number).padStart(8, '0')} ${text}`));
    let number = 0;
    await eventually('gossip flows from end to end', () => {
      say(++number, 'hello');
      return (heard.get(c)?.length ?? 0) > 0;
    });
    say(++number, 'bad');
    say(++number, 'odd');
    say(++number, 'last');
    const last = `${String(number).padStart(8, '0')} last`;
    await eventually('the last one is there', () => heard.get(c)?.includes(last) === true);
    t.notOk(heard.get(c)?.some((text) => /bad|odd/.test(text)));
    t.ok(heard.get(b)?.some((text) => text.endsWith('bad')));
    t.equal(new Set(heard.get(c)).size, heard.get(c)?.length, 'nothing twice');
    t.strictSame(heard.get(a), [], 'nothing comes back to its author');
  });

  t.test('topics are apart; larger messages than the limit are an error of the publisher', async (t) => {
    const [a, b] = [1, 2].map((index) => world.create(t, index, everyone)) as [Network, Network];
    const heard: string[] = [];
    const topics: Topic[] = ['batches', 'records'];
    for (const topic of topics) {
      const id = (message: Uint8Array) => message;
      a.gossip.subscribe(topic, { id, receive: () => 'accept' });
      b.gossip.subscribe(topic, {
        id,
        receive: (message) => {
          heard.push(`${topic} ${byteString(message)}`);
          return 'accept';
        },
      });
    }
    await startAll(t, [a, b]);
    await a.dial(b.addresses()[0] as string, { signal: forever() });
    let number = 0;
    await eventually('both topics flow', () => {
      number++;
      for (const topic of topics) a.gossip.publish(topic, Buffer.from(`${number}`));
      return topics.every((topic) => heard.some((text) => text.startsWith(topic)));
    });
    t.ok(heard.every((text) => /^(batches|records) \d+$/.test(text)));
    t.throws(() => a.gossip.publish('batches', new Uint8Array(GOSSIP_MESSAGE_BYTES_MAX + 1)), RangeError);
    t.doesNotThrow(() => a.gossip.publish('batches', new Uint8Array(GOSSIP_MESSAGE_BYTES_MAX)));
  });
}
