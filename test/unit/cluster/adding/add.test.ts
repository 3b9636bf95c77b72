import t from 'tap';
import type { AddEntry, Added, Adder } from '../../../../src/adder/adder.ts';
import type { BlockSink } from '../../../../src/adder/block-batches.ts';
import { type AddContent, type AddEvent, type AddStart, addContent } from '../../../../src/cluster/adding/add.ts';
import type { Destination } from '../../../../src/cluster/adding/destinations.ts';
import type { PinPlan, PinWrite, WriteOptions, Written } from '../../../../src/cluster/pins.ts';
import { PinfoldError } from '../../../../src/model/errors.ts';
import { silentLogger } from '../../../../src/runtime/logger.ts';
import { anyone } from '../../../support/api-peer.ts';
import { testCid } from '../../../support/crdt-peers.ts';

const start: AddStart = {
  namespace: 'default',
  options: {
    name: '',
    mode: 'direct',
    replicationMin: 0,
    replicationMax: 0,
    userAllocations: [],
    metadata: [],
    origins: [],
    expiresMs: 0,
  },
  local: false,
  quiet: false,
  ack: { kind: 'durable' },
  idempotency: undefined,
};

/** An adder that reads every entry, makes a block of it and yields it, roots where the path has no slash. */
const reading: Adder = {
  async *add(entries, sink, { signal, onProgress }): AsyncGenerator<Added> {
    let bytes = 0;
    let blocks = 0;
    for await (const { path, content } of entries) {
      for await (const piece of content ?? []) {
        signal.throwIfAborted();
        bytes += piece.length;
        onProgress?.({ bytes, blocks });
      }
      signal.throwIfAborted();
      await putOne(sink, path, signal);
      onProgress?.({ bytes, blocks: ++blocks });
      yield { path, cid: testCid(path), dagBytes: bytes, isRoot: !path.includes('/') };
    }
  },
  async *importCar(content, sink, { signal }): AsyncGenerator<Added> {
    for await (const _ of content);
    await putOne(sink, 'car', signal);
    yield { path: '', cid: testCid('car'), dagBytes: 0, isRoot: true };
  },
};

const putOne = (sink: BlockSink, name: string, signal: AbortSignal) =>
  sink.putBlocks([{ cid: testCid(name), bytes: new Uint8Array(10) }], { signal });

interface WorldInit {
  adder?: Adder;
  refuse?: PinfoldError;
  pin?: () => Promise<void>;
  plan?: PinPlan;
  /** What a destination does with a batch, and when it is told to prepare. */
  put?: (peerId: string, batch: number) => Promise<void>;
  prepare?: (peerId: string) => Promise<void>;
}

function world(init: WorldInit = {}) {
  const pinned: { write: PinWrite; options: WriteOptions }[] = [];
  /** What became of each destination. */
  const ends = new Map<string, string>();
  const batches = new Map<string, number>();
  const destination = (peerId: string): Destination => {
    ends.set(peerId, 'open');
    return {
      peerId,
      async put(blocks) {
        const batch = (batches.get(peerId) ?? 0) + 1;
        batches.set(peerId, batch);
        await init.put?.(peerId, batch);
        return { blocks: blocks.length, bytes: 10 };
      },
      async prepare() {
        await init.prepare?.(peerId);
        ends.set(peerId, 'prepared');
      },
      pinned: (cids) => ends.set(peerId, `pinned ${cids.length}`),
      release: () => ends.set(peerId, 'released'),
    };
  };
  const add = addContent({
    adder: init.adder ?? reading,
    pins: {
      plan() {
        if (init.refuse !== undefined) throw init.refuse;
        return init.plan ?? { peerIds: ['self', 'other'], replicationMin: 1 };
      },
      async pin(write, options, call): Promise<Written> {
        call.signal.throwIfAborted();
        await init.pin?.();
        for (const peerId of write.must ?? [])
          t.equal(ends.get(peerId), 'prepared', 'it keeps the blocks, whatever comes');
        pinned.push({ write, options });
        return { pin: undefined, position: new Uint8Array(), level: options.ack, acknowledgedBy: [], unseenBy: [] };
      },
    },
    placing: {
      peers: [
        { peerId: 'self', standing: 'takes', reason: undefined, metrics: new Map() },
        { peerId: 'other', standing: 'named', reason: { code: 'FOLLOWER' }, metrics: new Map() },
        { peerId: 'down', standing: 'keeps', reason: { code: 'DOWN' }, metrics: new Map() },
      ],
    },
    destination,
    logger: silentLogger,
    peerId: 'self',
  });
  const files = (of: AddStart, entries: AsyncIterable<AddEntry>, call: Parameters<AddContent>[2]) =>
    add(of, { kind: 'files', entries, wrapWithDirectory: false, import: {} }, call);
  return { add: files, car: add, pinned, ends };
}

async function* entries(...paths: string[]): AsyncGenerator<AddEntry> {
  for (const path of paths) {
    yield {
      path,
      content: (async function* () {
        yield new Uint8Array(10);
      })(),
    };
  }
}

async function collect(events: AsyncIterable<AddEvent>): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of events) seen.push(event.kind === 'added' ? `added ${event.added.path}` : event.kind);
  return seen;
}

t.test('several roots, each pinned by its path where the blocks are, recursively', async (t) => {
  const { add, pinned, ends } = world();
  const idempotency = { key: new Uint8Array(16), request: new Uint8Array(16) };
  const seen = await collect(add({ ...start, idempotency }, entries('a/b', 'a', 'c'), anyone()));
  t.strictSame(seen, ['added a/b', 'added a', 'added c', 'progress', 'pinned', 'pinned']);
  t.match(pinned, [
    { write: { cid: testCid('a'), must: ['self', 'other'], options: { name: 'a', mode: 'recursive' } } },
    { write: { cid: testCid('c'), must: ['self', 'other'], options: { name: 'c' } } },
  ]);
  const keys = pinned.map(({ options }) => Buffer.from(options.idempotency?.key ?? []).toString('hex'));
  t.equal(new Set(keys).size, 2, 'each with a key of its own');
  t.strictSame(await collect(world().add({ ...start, quiet: true }, entries('a/b', 'a'), anyone())), [
    'added a',
    'progress',
    'pinned',
  ]);
  t.strictSame(
    [...ends],
    [
      ['self', 'pinned 2'],
      ['other', 'pinned 2'],
    ],
  );
});

t.test('the name of the call counts for its pins', async (t) => {
  const { add, pinned } = world();
  await collect(add({ ...start, options: { ...start.options, name: 'backup' } }, entries('a'), anyone()));
  t.equal(pinned[0]?.write.options.name, 'backup');
});

t.test('a stream that breaks pins nothing', async (t) => {
  const broken = new PinfoldError('CANCELLED', 'cut');
  async function* cut(): AsyncGenerator<AddEntry> {
    yield* entries('a');
    throw broken;
  }
  async function* cutInside(): AsyncGenerator<AddEntry> {
    yield* entries('b');
    yield {
      path: 'a',
      content: (async function* () {
        yield new Uint8Array(1);
        throw broken;
      })(),
    };
  }
  for (const source of [cut(), cutInside()]) {
    const { add, pinned, ends } = world();
    await t.rejects(collect(add(start, source, anyone())), broken);
    t.strictSame(pinned, []);
    t.strictSame([...ends.values()], ['released', 'released']);
  }
});

t.test('nothing at all is not a success', async (t) => {
  const { add, ends } = world();
  await t.rejects(collect(add(start, entries(), anyone())), { code: 'INVALID_ARGUMENT' });
  t.equal(ends.size, 0);
});

t.test('what would be refused is refused before content is read', async (t) => {
  const { add } = world({ refuse: new PinfoldError('FOLLOWER', 'x') });
  let isRead = false;
  async function* watched(): AsyncGenerator<AddEntry> {
    isRead = true;
    yield* entries('a');
  }
  await t.rejects(collect(add(start, watched(), anyone())), { code: 'FOLLOWER' });
  t.notOk(isRead);
});

t.test('a pin that fails is told, and the blocks are let go', async (t) => {
  const { add, ends } = world({ pin: () => Promise.reject(new PinfoldError('NOT_ENOUGH_PEERS', 'x')) });
  await t.rejects(collect(add(start, entries('a'), anyone())), { code: 'NOT_ENOUGH_PEERS' });
  // It may have been committed all the same.
  t.strictSame([...ends.values()], ['pinned 1', 'pinned 1']);
});

t.test('where content goes', async (t) => {
  const factors = { peerIds: ['x', 'y'], replicationMin: 2 };
  const cases: [string, WorldInit, Partial<AddStart>, string[]][] = [
    ['the allocations, this peer among them or not', { plan: factors }, {}, ['x', 'y']],
    ['here alone when asked for', { plan: factors }, { local: true }, ['self']],
    ['everywhere: all who are there', { plan: { peerIds: [], replicationMin: -1 } }, {}, ['self', 'other']],
  ];
  for (const [name, init, changes, expected] of cases) {
    const { add, pinned, ends } = world(init);
    await collect(add({ ...start, ...changes }, entries('a', 'b'), anyone()));
    t.strictSame([...ends.keys()], expected, name);
    t.strictSame(pinned[0]?.write.must, expected, name);
  }
});

t.test('a destination that fails is left out, as long as enough are left', async (t) => {
  const full = new PinfoldError('DISK_FULL', 'no room');
  const plan = { peerIds: ['x', 'y', 'z'], replicationMin: 2 };
  const late = (peerId: string, batch: number) =>
    peerId === 'y' && batch === 2 ? Promise.reject(full) : Promise.resolve();
  const one = world({ plan, put: late });
  const events: AddEvent[] = [];
  for await (const event of one.add(start, entries('a', 'b', 'c'), anyone())) events.push(event);
  t.strictSame(one.pinned[0]?.write.must, ['x', 'z']);
  t.equal(one.ends.get('y'), 'released');
  const told = events.findLast((event) => event.kind === 'progress');
  t.match(told, {
    destinations: [
      { peerId: 'x', blocks: 3, bytes: 30, sentBlocks: 3, error: undefined },
      { peerId: 'y', blocks: 1, error: full },
      { peerId: 'z', blocks: 3 },
    ],
  });

  const both = world({ plan, put: async (peerId) => (peerId === 'x' ? undefined : Promise.reject(full)) });
  await t.rejects(collect(both.add(start, entries('a'), anyone())), {
    code: 'DISK_FULL',
    message: /1 of 3 peers.*2 are needed.*y: no room; z: no room/,
  });
  t.strictSame(both.pinned, []);
  t.strictSame([...both.ends.values()], ['released', 'released', 'released']);

  const atTheEnd = world({ plan, prepare: (peerId) => (peerId === 'x' ? Promise.resolve() : Promise.reject(full)) });
  await t.rejects(collect(atTheEnd.add(start, entries('a'), anyone())), { code: 'DISK_FULL' });
  t.strictSame(atTheEnd.pinned, []);

  const mixed = world({
    plan: { peerIds: ['x', 'y'], replicationMin: 2 },
    put: (peerId) => Promise.reject(peerId === 'x' ? full : new PinfoldError('PEER_UNREACHABLE', 'gone')),
  });
  await t.rejects(collect(mixed.add(start, entries('a'), anyone())), { code: 'NOT_ENOUGH_PEERS' });
});

t.test('a CAR has its roots pinned', async (t) => {
  const { car, pinned } = world();
  const bytes = (async function* () {
    yield new Uint8Array(10);
  })();
  await collect(car({ ...start, options: { ...start.options, name: 'n' } }, { kind: 'car', bytes }, anyone()));
  t.match(pinned, [{ write: { cid: testCid('car'), options: { name: 'n' } } }]);
});

t.test('a root that cannot be pinned is told before any is', async (t) => {
  const long = Buffer.concat([Uint8Array.of(1, 0x55, 0, 125), new Uint8Array(125)]);
  const adder: Adder = {
    ...reading,
    async *importCar(_content, sink, { signal }) {
      await putOne(sink, 'car', signal);
      for (const cid of [testCid('car'), long]) yield { path: '', cid, dagBytes: 0, isRoot: true };
    },
  };
  const { car, pinned, ends } = world({ adder });
  const bytes = (async function* () {})();
  await t.rejects(collect(car(start, { kind: 'car', bytes }, anyone())), {
    code: 'INVALID_CID',
    message: /^root: 129/,
  });
  t.strictSame(pinned, []);
  t.strictSame([...ends.values()], ['released', 'released']);
});

t.test('so many adds at once, and no more', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { add } = world({ put: () => promise });
  const running = Array.from({ length: 32 }, () => collect(add(start, entries('a'), anyone())));
  await t.rejects(collect(add(start, entries('a'), anyone())), { code: 'LIMIT_REACHED' });
  resolve();
  await Promise.all(running);
  await collect(add(start, entries('a'), anyone()));
});

t.test('a slow reader holds the add back; one that leaves ends it', async (t) => {
  let made = 0;
  const endless: Adder = {
    ...reading,
    async *add(_entries, sink, { signal }) {
      await putOne(sink, 'x', signal);
      for (;;) {
        signal.throwIfAborted();
        made++;
        yield { path: `f/${made}`, cid: testCid(made), dagBytes: 1, isRoot: false };
      }
    },
  };
  const { add, pinned, ends } = world({ adder: endless });
  const events = add(start, entries('a'), anyone())[Symbol.asyncIterator]();
  await events.next();
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  t.ok(made < 300, `${made} were made for one that was read`);
  t.strictSame([...ends.values()], ['open', 'open']);
  await events.return?.();
  t.strictSame([...ends.values()], ['released', 'released']);
  t.strictSame(pinned, []);
});

t.test('an abort ends it while the content hangs', async (t) => {
  const hanging: Adder = {
    ...reading,
    async *add(_entries, _sink, { signal }) {
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
  };
  const { add, ends } = world({ adder: hanging });
  const abort = new AbortController();
  const ended = t.rejects(collect(add(start, entries('a'), anyone(abort.signal))), { code: 'DEADLINE' });
  abort.abort(new PinfoldError('DEADLINE', 'late'));
  await ended;
  t.equal(ends.size, 0);
});
