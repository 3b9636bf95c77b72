import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { create } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import t, { type Test } from 'tap';
import {
  type AddRequest,
  AddRequestSchema,
  type AddResponse,
  ContentFormat,
  PinService,
} from '../../gen/pinfold/v1/pin_service_pb.ts';
import { type LocalPeer, until } from '../../scripts/local-cluster.ts';
import { ADDS_MAX } from '../../src/cluster/adding/constants.ts';
import { daemons, held } from '../support/daemons.ts';
import { detailsOf, GrpcClient } from '../support/doors.ts';
import {
  type AddMessage,
  addsUnderWay,
  contentBytesOf,
  data,
  entry,
  inProto,
  metricOf,
  start,
} from '../support/http-add.ts';

/** Clients of `Add` over gRPC that mean no good, and a real daemon. None of them pins anything. */

const here = await daemons();
const [one] = (await here.cluster(1)) as [LocalPeer];
const mebibyte = 1024 * 1024;
const directory = (path: string): AddMessage => ({ case: 'entry', value: { path, directory: true } });
const car: AddMessage = { case: 'start', value: { format: ContentFormat.CAR } };

const resident = async () =>
  process.platform === 'linux'
    ? Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${one.pid()}/status`, 'utf8'))?.[1]) / 1024
    : 0;

type Adding = ClientDuplexStream<AddRequest, AddResponse>;

async function send(stream: Adding, ...messages: AddMessage[]): Promise<void> {
  for (const message of messages) stream.write(create(AddRequestSchema, { message }));
}

/** The reason with which it ends: 'OK' if all goes well. */
function endOf(stream: Adding): Promise<string> {
  return new Promise((resolve) => {
    stream.on('data', () => {});
    stream.on('error', (error) => resolve(detailsOf(error).info?.reason ?? String(error)));
    stream.on('end', () => resolve('OK'));
  });
}

/** What `hostile` does ends with nothing pinned, no add under way, and a daemon that takes the next. */
async function leavesNothing(t: Test, hostile: (grpc: GrpcClient) => Promise<void>): Promise<void> {
  const before = await held(one);
  const grpc = new GrpcClient(one.host);
  try {
    await hostile(grpc);
  } finally {
    grpc.close();
  }
  await until('no add is under way', async () => (await addsUnderWay(one)) === 0);
  t.strictSame(await held(one), before, 'nothing is pinned');
}

t.test('a client that stops reading is waited for, and its end ends the add', async (t) => {
  const atFirst = await resident();
  await leavesNothing(t, async () => {
    const session = connectHttp2(`http://${one.host}`, { settings: { initialWindowSize: 0 } });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/pinfold.v1.PinService/Add',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    for (const each of [session, stream]) each.on('error', () => {});
    stream.write(inProto(start));
    // Each is answered by a word of it, for which there is no room.
    let sent = 0;
    let isHeldBack = false;
    while (!isHeldBack) {
      const entries = Array.from({ length: 1_000 }, () => inProto(entry(`d/file-${sent++}`)));
      if (stream.write(Buffer.concat(entries))) continue;
      isHeldBack = await Promise.race([once(stream, 'drain').then(() => false), rests()]);
    }
    const blocks = await metricOf(one, 'pinfold_adder_blocks_total');
    t.ok(blocks < sent, `${blocks} of ${sent} files are made`);
    t.comment(`${sent} sent, ${blocks} made, ${Math.round((await resident()) - atFirst)} MiB more in memory`);
    t.ok((await resident()) - atFirst < 200, 'memory is bounded');
    t.equal(await addsUnderWay(one), 1);
    session.destroy();
  });
});

/** Resolves to true when the adder has done nothing for ten looks. */
async function rests(): Promise<boolean> {
  let last = -1;
  let same = 0;
  await until('the adder rests', async () => {
    const blocks = await metricOf(one, 'pinfold_adder_blocks_total');
    same = blocks === last ? same + 1 : 0;
    last = blocks;
    return same >= 10;
  });
  return true;
}

t.test('a client that sends a byte now and then costs nothing', async (t) => {
  await leavesNothing(t, async (grpc) => {
    const taken = await contentBytesOf(one);
    const stream = grpc.bidi(PinService.method.add);
    const end = endOf(stream);
    await send(stream, start, entry('slow'));
    for (let sent = 1; sent <= 5; sent++) {
      await send(stream, data(new Uint8Array(1)));
      await until('the byte is there', async () => (await contentBytesOf(one)) === taken + sent);
      await one.clients.cluster.getCluster({});
    }
    stream.cancel();
    await end;
  });
});

t.test(
  `the ${ADDS_MAX + 1}rd add at once is refused at once, and a place that is left is given to the next`,
  async (t) => {
    await leavesNothing(t, async (grpc) => {
      const streams = Array.from({ length: ADDS_MAX }, () => grpc.bidi(PinService.method.add));
      const ends = streams.map(endOf);
      await Promise.all(streams.map((stream, i) => send(stream, start, entry(`held-${i}`))));
      await until('all are under way', async () => (await addsUnderWay(one)) === ADDS_MAX);
      const beyond = grpc.bidi(PinService.method.add, { deadline: Date.now() + 5_000 });
      const refused = endOf(beyond);
      await send(beyond, start, entry('beyond'));
      t.equal(await refused, 'LIMIT_REACHED');
      streams.pop()?.cancel();
      await until('one has gone', async () => (await addsUnderWay(one)) === ADDS_MAX - 1);
      const next = grpc.bidi(PinService.method.add);
      const nextEnd = endOf(next);
      await send(next, start, entry('next'));
      await until('the next has its place', async () => (await addsUnderWay(one)) === ADDS_MAX);
      for (const stream of [...streams, next]) stream.cancel();
      await Promise.all([...ends, nextEnd]);
    });
  },
);

/** LEB128. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
}
const carHeader = Buffer.from('3aa265726f6f747381d82a58250001711220', 'hex');
const gibibytes4 = varint(4 * 1024 ** 3);
const deep = (depth: number) => Array(depth).fill('d').join('/');

const refusedAtOnce: Record<string, AddMessage[]> = {
  'a CAR whose header says 4 GiB': [car, data(Uint8Array.from(gibibytes4)), data(new Uint8Array(mebibyte))],
  'a CAR whose header says 2^70': [car, data(Uint8Array.from([...Array(10).fill(0xff), 1]))],
  'a CAR whose header is cut': [car, data(Uint8Array.from(carHeader))],
  'a CAR without bytes': [car],
  'a path to the parent': [start, entry('../up')],
  'a path to the parent further down': [start, entry('a/b/../../../../etc/passwd')],
  'an absolute path': [start, entry('/etc/passwd')],
  'a path with a NUL': [start, entry('a\0b')],
  'a path with "."': [start, entry('./a')],
  'a path with an empty name': [start, entry('a//b')],
  'a name of 256 bytes': [start, entry('x'.repeat(256))],
  'a path of 4,097 bytes': [start, entry(`${'x/'.repeat(2048)}y`)],
  'a directory in 128 others': [start, directory(deep(129))],
  'that, one by one': [start, ...Array.from({ length: 129 }, (_, i) => directory(deep(i + 1)))],
  'a name twice': [start, entry('a'), directory('a')],
  'a directory entered again': [start, entry('a/x'), entry('b/x'), entry('a/y')],
};
t.test('what cannot be added is refused though the client does not end', async (t) => {
  for (const [name, messages] of Object.entries(refusedAtOnce)) {
    await leavesNothing(t, async (grpc) => {
      const stream = grpc.bidi(PinService.method.add, { deadline: Date.now() + 20_000 });
      const end = endOf(stream);
      await send(stream, ...messages);
      if (name.includes('cut') || name.includes('without')) stream.end();
      t.equal(await end, 'INVALID_ARGUMENT', name);
    });
  }
});

t.test('a depth of 128 is allowed, and pinned', async (t) => {
  const grpc = new GrpcClient(one.host);
  const stream = grpc.bidi(PinService.method.add);
  const end = endOf(stream);
  await send(stream, start, entry(deep(128)));
  stream.end();
  t.equal(await end, 'OK');
  grpc.close();
});
