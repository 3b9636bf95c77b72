import t from 'tap';
import type { AddEntry, Added, Adder } from '../../../src/adder/adder.ts';
import { type AddEvent, type AddStart, addContent } from '../../../src/cluster/add.ts';
import type { PinWrite, WriteOptions, Written } from '../../../src/cluster/pins.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { anyone } from '../../support/api-peer.ts';
import { testCid } from '../../support/crdt-peers.ts';

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
  wrapWithDirectory: false,
  ack: { kind: 'durable' },
  idempotency: undefined,
};

/** An adder that reads every entry and yields it, roots where the path has no slash. */
const reading: Adder = {
  async *add(entries, { signal, onProgress }): AsyncGenerator<Added> {
    let bytes = 0;
    for await (const { path, content } of entries) {
      for await (const piece of content ?? []) {
        signal.throwIfAborted();
        bytes += piece.length;
        onProgress?.(bytes);
      }
      signal.throwIfAborted();
      yield { path, cid: testCid(path), dagBytes: bytes, isRoot: !path.includes('/') };
    }
  },
};

function world(
  init: { adder?: Adder; refuse?: PinfoldError; pin?: () => Promise<void>; held?: () => Promise<void> } = {},
) {
  const pinned: { write: PinWrite; options: WriteOptions }[] = [];
  let protections = 0;
  const add = addContent({
    adder: init.adder ?? reading,
    pins: {
      check() {
        if (init.refuse !== undefined) throw init.refuse;
      },
      async pin(write, options, call): Promise<Written> {
        call.signal.throwIfAborted();
        await init.pin?.();
        t.ok(protections > 0, 'the blocks are protected while they are being pinned');
        pinned.push({ write, options });
        return { pin: undefined, position: new Uint8Array(), level: options.ack, acknowledgedBy: [], unseenBy: [] };
      },
    },
    connector: {
      protect() {
        protections++;
        return { release: () => protections-- };
      },
    },
    held: init.held ?? (async () => {}),
    peerId: 'self',
  });
  return { add, pinned, protections: () => protections };
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

/** What has been resolved has been followed up. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

async function collect(events: AsyncIterable<AddEvent>): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of events) seen.push(event.kind === 'added' ? `added ${event.added.path}` : event.kind);
  return seen;
}

t.test('several roots, each pinned by its path, here and recursively', async (t) => {
  const { add, pinned, protections } = world();
  const idempotency = { key: new Uint8Array(16), request: new Uint8Array(16) };
  const seen = await collect(add({ ...start, idempotency }, entries('a/b', 'a', 'c'), anyone()));
  t.strictSame(seen, ['added a/b', 'added a', 'added c', 'pinned', 'pinned']);
  t.match(pinned, [
    { write: { cid: testCid('a'), must: 'self', options: { name: 'a', mode: 'recursive' } } },
    { write: { cid: testCid('c'), must: 'self', options: { name: 'c' } } },
  ]);
  const keys = pinned.map(({ options }) => Buffer.from(options.idempotency?.key ?? []).toString('hex'));
  t.equal(new Set(keys).size, 2, 'each with a key of its own');
  t.equal(protections(), 0);
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
    yield {
      path: 'a',
      content: (async function* () {
        yield new Uint8Array(1);
        throw broken;
      })(),
    };
  }
  for (const source of [cut(), cutInside()]) {
    const { add, pinned, protections } = world();
    await t.rejects(collect(add(start, source, anyone())), broken);
    t.strictSame(pinned, []);
    t.equal(protections(), 0);
  }
});

t.test('nothing at all is not a success', async (t) => {
  const { add, protections } = world();
  await t.rejects(collect(add(start, entries(), anyone())), { code: 'INVALID_ARGUMENT' });
  t.equal(protections(), 0);
});

t.test('what would be refused is refused before content is read', async (t) => {
  const { add, protections } = world({ refuse: new PinfoldError('FOLLOWER', 'x') });
  let isRead = false;
  async function* watched(): AsyncGenerator<AddEntry> {
    isRead = true;
    yield* entries('a');
  }
  await t.rejects(collect(add(start, watched(), anyone())), { code: 'FOLLOWER' });
  t.notOk(isRead);
  t.equal(protections(), 0);
});

t.test('blocks stay protected until the node has a record of what was pinned', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { add, protections } = world({ held: () => promise });
  for await (const _ of add(start, entries('a'), anyone()));
  await settled();
  t.equal(protections(), 1);
  resolve();
  await settled();
  t.equal(protections(), 0);
});

t.test('a pin that fails is told, and the protection ends', async (t) => {
  const { add, protections } = world({ pin: () => Promise.reject(new PinfoldError('NOT_ENOUGH_PEERS', 'x')) });
  await t.rejects(collect(add(start, entries('a'), anyone())), { code: 'NOT_ENOUGH_PEERS' });
  t.equal(protections(), 0);
});

t.test('a slow reader holds the add back; one that leaves ends it', async (t) => {
  let made = 0;
  const endless: Adder = {
    async *add(_entries, { signal }) {
      for (;;) {
        signal.throwIfAborted();
        made++;
        yield { path: `f/${made}`, cid: testCid(made), dagBytes: 1, isRoot: false };
      }
    },
  };
  const { add, pinned, protections } = world({ adder: endless });
  const events = add(start, entries('a'), anyone())[Symbol.asyncIterator]();
  await events.next();
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  t.ok(made < 300, `${made} were made for one that was read`);
  t.equal(protections(), 1);
  await events.return?.();
  t.equal(protections(), 0);
  t.strictSame(pinned, []);
});

t.test('an abort ends it while the content hangs', async (t) => {
  const hanging: Adder = {
    async *add(_entries, { signal }) {
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
  };
  const { add, protections } = world({ adder: hanging });
  const abort = new AbortController();
  const ended = t.rejects(collect(add(start, entries('a'), anyone(abort.signal))), { code: 'DEADLINE' });
  abort.abort(new PinfoldError('DEADLINE', 'late'));
  await ended;
  t.equal(protections(), 0);
});
