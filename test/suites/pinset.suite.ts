import type { Test } from 'tap';
import { isPinfoldError } from '../../src/model/errors.ts';
import type { PinFields } from '../../src/model/pin.ts';
import { pinKeyParts } from '../../src/model/pin-key.ts';
import type { PinFilter, PinRow, StoredPin } from '../../src/pinset/pinset.ts';
import { pinsetTables } from '../../src/pinset/tables.ts';
import type { TableSpec } from '../../src/storage/storage.ts';
import { fc } from '../support/fast-check.ts';
import { equal, expectEqual, ids, PinsetModel, sorted } from './pinset-model.ts';
import { cid, orders, PinsetWorld, plainFields, rid, type StoreHandle, settled, until } from './pinset-world.ts';

/** Makes a new, empty store that commits and flushes by itself. */
export type StoreFactory = (t: Test, tables: readonly TableSpec[]) => Promise<StoreHandle>;

const day = 24 * 60 * 60 * 1000;

/** The contract of src/pinset/pinset.ts, on any storage. */
export function pinsetSuite(t: Test, factory: StoreFactory): void {
  const open = async (t: Test, init = {}) => PinsetWorld.open(await factory(t, pinsetTables), init);
  t.test('any sequence of writes', (t) => modelCases(t, open));
  t.test('one pin', (t) => pinCases(t, open));
  t.test('names', (t) => nameCases(t, open));
  t.test('listings', (t) => listCases(t, open));
  t.test('the feed', (t) => feedCases(t, open));
  t.test('snapshots', (t) => snapshotCases(t, open));
  t.test('the shadow', (t) => shadowCases(t, open));
  t.test('damage and formats', (t) => damageCases(t, open));
  t.test('metadata that is indexed', (t) => metadataCases(t, open));
}

type Open = (t: Test, init?: object) => Promise<PinsetWorld>;

const names = ['', '', 'a', 'a\0b', 'a\x01', 'ab', 'é', 'b', `${'x'.repeat(255)}yz`, `${'x'.repeat(255)}yy`, '\0'];
const namespaces = ['default', 'team-a', 'z'];

const fieldsArbitrary: fc.Arbitrary<Partial<PinFields>> = fc.record({
  name: fc.constantFrom(...names),
  createdMs: fc.constantFrom(0, 1, 1000, 2000, 3000, 2 ** 50),
  expiresMs: fc.constantFrom(0, 0, 5000, 6000),
  metadata: fc.constantFrom(
    [],
    [['owner', 'a']],
    [
      ['owner', 'b'],
      ['x', 'y'],
    ],
    [['owner', 'b'.repeat(500)]],
  ),
});

const stepArbitrary = fc.record({
  /** Given up after it has written. */
  fails: fc.boolean(),
  restarts: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  waits: fc.boolean(),
  ops: fc.uniqueArray(
    fc.record({
      content: fc.nat(6),
      namespace: fc.constantFrom(...namespaces),
      kind: fc.constantFrom('pin', 'pin', 'beside', 'amend', 'unpin'),
      author: fc.nat(2),
      fields: fieldsArbitrary,
    }),
    { maxLength: 6, selector: ({ content, namespace }) => `${content} ${namespace}` },
  ),
});

type Step = typeof stepArbitrary extends fc.Arbitrary<infer T> ? T : never;

async function modelCases(t: Test, open: Open): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 12 }), async (steps) => {
      const world = await open(t, { indexedMetadata: ['owner'] });
      const model = new PinsetModel();
      let revision = 0;
      for (const step of steps) {
        if (run(world, model, step)) revision++;
        if (step.waits || step.restarts) await world.storage.flushed();
        if (step.restarts) await world.restart();
      }
      await world.storage.flushed();
      await settled();
      equal('revision', world.pinset.feed.revision, revision);
      equal('flushed revision', world.pinset.feed.flushedRevision, revision);
      expectEqual(world, model);
      for (const order of orders) {
        const pins = world.listAll({ filter: {}, order, limit: 3 });
        equal(`listing by ${order}`, ids(pins), ids(sorted(world, model, order)));
      }
      expectFilters(world, model);
      await world.restart();
      expectEqual(world, model);
      const due = [...model.rows.keys()].filter((key) => {
        const { expiresMs } = (world.pinset.get(Buffer.from(key, 'latin1')) as StoredPin).pin;
        return expiresMs > 0 && expiresMs <= 5000;
      });
      equal('expired', world.pinset.expired(5000, 100).length, due.length);
    }),
    { numRuns: 40 },
  );
  t.pass('rows, indexes, digest, listings, feed and restarts agree with the model');
}

/** Whether it was one revision. */
function run(world: PinsetWorld, model: PinsetModel, { ops, fails }: Step): boolean {
  const planned = ops.map((op) => {
    const key = world.key(op.content, op.namespace);
    const dot = world.dot(op.author, op.fields, { allocations: [world.pinset.names.peers.ensure(peer(op.author))] });
    return { key, row: after(model.get(key), op.kind, dot) };
  });
  try {
    world.storage.transaction((tx) => {
      const { pinset } = world;
      pinset.write(
        tx,
        planned.map(({ key, row }) => ({ key, before: pinset.row(tx, key), after: row })),
      );
      if (fails) throw new Error('given up');
    });
  } catch (error) {
    if (!fails) throw error;
    return false;
  }
  for (const { key, row } of planned) model.set(key, row);
  return true;
}

function after(row: PinRow, kind: string, dot: PinRow[number]): PinRow {
  if (kind === 'unpin') return [];
  if (kind === 'pin') return [dot];
  if (kind === 'beside') {
    return [...row, dot].sort((a, b) => a.replica - b.replica || a.sequence - b.sequence);
  }
  return row.map((old) => ({
    ...old,
    placementStamp: dot.stamp,
    placementReplica: dot.replica,
    allocations: dot.allocations,
  }));
}

function peer(author: number): string {
  return `12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6${'XYZ'[author]}`;
}

const filters: readonly PinFilter[] = [
  { namespaces: ['team-a'] },
  { namespaces: ['z', 'default', 'never-there'] },
  { nameEquals: 'a' },
  { nameEquals: '' },
  { nameEquals: `${'x'.repeat(255)}yz`, namespaces: ['default', 'z'] },
  { namePrefix: 'a' },
  { namePrefix: '' },
  { namePrefix: `${'x'.repeat(255)}yy` },
  { namePrefix: 'a\0' },
  { metadata: [['owner', 'b']] },
  {
    metadata: [
      ['x', 'y'],
      ['owner', 'b'],
    ],
  },
  { metadata: [['owner', 'b'.repeat(500)]] },
  { createdAfterMs: 1000 },
  { createdAfterMs: 0, createdBeforeMs: 3000 },
  { createdBeforeMs: 1 },
  { cids: [cid(1), cid(2), cid(3), cid(99)] },
  { cids: [cid(0)], namespaces: ['z'] },
];

function expectFilters(world: PinsetWorld, model: PinsetModel): void {
  for (const filter of filters) {
    for (const order of orders) {
      const pins = world.listAll({ filter, order, limit: 2 });
      const expected = sorted(world, model, order).filter((pin) => means(filter, pin));
      equal(`${JSON.stringify(filter)} by ${order}`, ids(pins), ids(expected));
    }
  }
}

function means(filter: PinFilter, { pin }: StoredPin): boolean {
  const { namespaces: wanted, cids, nameEquals, namePrefix, metadata = [], createdAfterMs, createdBeforeMs } = filter;
  return (
    (wanted === undefined || wanted.includes(pin.namespace)) &&
    (cids === undefined || cids.some((one) => Buffer.compare(one, pin.cid) === 0)) &&
    (nameEquals === undefined || pin.name === nameEquals) &&
    pin.name.startsWith(namePrefix ?? '') &&
    metadata.every(([k, v]) => pin.metadata.some(([key, value]) => key === k && value === v)) &&
    pin.createdMs > (createdAfterMs ?? -1) &&
    pin.createdMs < (createdBeforeMs ?? Number.POSITIVE_INFINITY)
  );
}

async function pinCases(t: Test, open: Open): Promise<void> {
  t.test('it is read as it was written, of concurrent dots the greatest by stamp, replica, sequence', async (t) => {
    const world = await open(t);
    const fields: PinFields = {
      ...plainFields,
      name: 'näme',
      mode: 'direct',
      replicationMin: 1,
      replicationMax: 2,
      userAllocations: [peer(0)],
      metadata: [['k', 'v']],
      origins: ['/ip4/1.2.3.4/tcp/1/p2p/x'],
      expiresMs: 99,
      updatedFrom: cid(7),
    };
    const allocations = [world.pinset.names.peers.ensure(peer(1)), world.pinset.names.peers.ensure(peer(0))];
    const older = world.dot(2, { name: 'older' }, { stamp: 1, placementStamp: 1 });
    const shown = world.dot(1, fields, { stamp: 2, allocations });
    await world.put([{ key: world.key(1, 'team-a'), row: [older, shown] }]);
    const found = world.pinset.get(world.key(1, 'team-a')) as StoredPin;
    const plain = (value: object) => JSON.parse(JSON.stringify(value, (_, v) => (v?.type === 'Buffer' ? v.data : v)));
    const expected = { ...fields, cid: cid(1), namespace: 'team-a', allocations: [peer(1), peer(0)] };
    const bytes = (pin: object) => plain({ ...pin, cid: [...cid(1)], updatedFrom: [...cid(7)] });
    t.same(bytes(found.pin as object), bytes(expected));
    t.same([...(found.pin.cid as Uint8Array)], [...cid(1)]);
    t.same([...(found.pin.updatedFrom as Uint8Array)], [...cid(7)]);
    t.equal(world.pinset.get(world.key(1)), undefined);
  });

  t.test('equal stamps: the replica decides, by its rid and not by its local number', async (t) => {
    for (const [first, second] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const world = await open(t);
      const dots = [first, second].map((author) => world.dot(author, { name: `by ${author}` }, { stamp: 5 }));
      await world.put([{ key: world.key(1), row: dots }]);
      const greater = Buffer.compare(rid(1), rid(2)) > 0 ? 1 : 2;
      t.equal(world.pinset.get(world.key(1))?.pin.name, `by ${greater}`);
    }
  });

  t.test('etag and row hash are the same at peers that number everything differently', async (t) => {
    const etags: string[] = [];
    const roots: string[] = [];
    for (const extra of [0, 3]) {
      const world = await open(t);
      for (let i = 0; i < extra; i++) {
        world.pinset.names.replicas.ensure(Buffer.alloc(16, i));
        world.pinset.names.peers.ensure(peer(2));
      }
      const dots = (extra === 0 ? [1, 2] : [2, 1]).map((author) => {
        const allocations = [world.pinset.names.peers.ensure(peer(author - 1))];
        const placementReplica = world.pinset.names.replicas.ensure(
          world.pinset.names.replicas.name(world.dot(2, {}).replica),
        );
        return world.dot(
          author,
          { name: 'x' },
          { sequence: 9, stamp: author, placementStamp: 77, placementReplica, allocations },
        );
      });
      const row = dots.sort((a, b) => a.replica - b.replica);
      await world.put([{ key: world.key(4), row }]);
      etags.push(Buffer.from(world.pinset.get(world.key(4))?.etag as Uint8Array).toString('hex'));
      roots.push(Buffer.from(world.pinset.digest.root()).toString('hex'));
    }
    t.equal(etags[0], etags[1]);
    t.equal(etags[0]?.length, 32);
    t.equal(roots[0], roots[1]);
  });

  t.test('claims: of both CID versions and all namespaces', async (t) => {
    const world = await open(t);
    const { pinKey } = await import('../../src/model/pin-key.ts');
    const { toV1 } = await import('../../src/model/cid.ts');
    world.pinset.names.namespaces.ensure('team-a');
    const keys = [
      pinKey(cid(1), 'default'),
      pinKey(cid(1), 'team-a'),
      pinKey(toV1(cid(1)), 'default'),
      pinKey(cid(3), 'default'),
    ];
    await world.put(keys.map((key) => ({ key, row: [world.dot(1, {})] })));
    t.equal(world.pinset.claims(cid(1)).length, 3);
    t.equal(world.pinset.claims(toV1(cid(1))).length, 3);
    t.equal(world.pinset.claims(cid(5)).length, 0);
  });

  t.test('a namespace without a number, or a key twice, is a defect that leaves no trace', async (t) => {
    const world = await open(t);
    const { pinKey } = await import('../../src/model/pin-key.ts');
    await world.fill(2);
    const root = world.pinset.digest.root();
    const change = (key: Uint8Array) => ({ key, before: [], after: [world.dot(1, {})] });
    const write = (...keys: Uint8Array[]) => {
      const changes = keys.map(change);
      world.storage.transaction((tx) => world.pinset.write(tx, changes));
    };
    t.throws(() => write(world.key(9), pinKey(cid(8), 'unheard-of')), /ensure\('unheard-of'\)/);
    t.throws(() => write(world.key(9), world.key(9)), /two changes of one key/);
    t.same(world.pinset.digest.root(), root);
    await world.fill(1, 5);
    t.equal(world.pinset.feed.revision, 2);
  });
}

async function nameCases(t: Test, open: Open): Promise<void> {
  t.test('numbers are given once and stay over a restart', async (t) => {
    const world = await open(t);
    const { names } = world.pinset;
    t.equal(names.namespaces.find('default'), 0);
    const numbers = ['x', 'y', 'x'].map((name) => names.namespaces.ensure(name));
    t.same(numbers, [1, 2, 1]);
    const rid = Buffer.alloc(16, 7);
    const number = names.replicas.ensure(rid);
    rid[0] = 1;
    t.equal(names.replicas.find(rid), undefined, 'the caller may reuse its bytes');
    await world.restart();
    t.equal(world.pinset.names.namespaces.find('y'), 2);
    t.equal(world.pinset.names.namespaces.ensure('z'), 3);
    t.equal(world.pinset.names.replicas.find(Buffer.alloc(16, 7)), number);
    t.same([...world.pinset.names.replicas.name(number)], [...Buffer.alloc(16, 7)]);
    t.throws(() => world.pinset.names.peers.name(0), /no number 0/);
  });
}

async function listCases(t: Test, open: Open): Promise<void> {
  t.test('what is there throughout is met exactly once, in every order, whatever is written meanwhile', async (t) => {
    for (const order of orders) {
      const world = await open(t);
      await world.fill(40);
      const staying = Array.from({ length: 20 }, (_, i) => world.key(i * 2));
      let turn = 0;
      const pins = world.listAll({ filter: {}, order, limit: 3 }, () => {
        const [gone, come] = [(turn * 2 + 1) % 40, 100 + turn];
        turn++;
        const added = [world.dot(1, { name: `pin-${come % 7}`, createdMs: 900 + come })];
        world.storage.transaction((tx) =>
          world.pinset.write(tx, [
            { key: world.key(gone), before: world.pinset.row(tx, world.key(gone)), after: [] },
            { key: world.key(come), before: [], after: added },
          ]),
        );
      });
      const met = ids(pins);
      for (const key of ids(staying.map((key) => ({ key }) as StoredPin))) {
        t.equal(met.filter((one) => one === key).length, 1, order);
      }
      t.equal(new Set(met).size, met.length, 'none twice');
    }
  });

  t.test('a cursor outlives a restart, and a namespace that comes', async (t) => {
    for (const order of orders) {
      const world = await open(t);
      await world.fill(10);
      const whole = ids(world.listAll({ filter: {}, order, limit: 100 }));
      const first = world.pinset.list({ filter: {}, order, limit: 4 });
      await world.restart();
      world.pinset.names.namespaces.ensure('aaa');
      const rest = world.pinset.list({ filter: {}, order, limit: 100, cursor: first.cursor as Uint8Array });
      t.same([...ids(first.pins), ...ids(rest.pins)], whole);
    }
  });

  t.test('a cursor of another listing, a damaged one, and noise are refused', async (t) => {
    const world = await open(t);
    await world.fill(3);
    const { cursor } = world.pinset.list({ filter: { namePrefix: 'pin' }, order: 'name', limit: 1 });
    const bytes = cursor as Uint8Array;
    const bad = (query: object, cursor: Uint8Array) => {
      try {
        world.pinset.list({ filter: { namePrefix: 'pin' }, order: 'name', limit: 1, ...query, cursor });
      } catch (error) {
        return isPinfoldError(error, 'INVALID_CURSOR');
      }
      return false;
    };
    t.notOk(bad({}, bytes));
    t.ok(bad({ order: 'key' }, bytes));
    t.ok(bad({ filter: {} }, bytes));
    for (let i = 0; i < bytes.length; i++) {
      const damaged = Uint8Array.from(bytes);
      damaged[i] = (damaged[i] as number) ^ 4;
      t.ok(bad({}, damaged), `byte ${i}`);
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (noise) => bad({}, noise)));
  });

  t.test('a filter that nothing passes does a bounded piece a call', async (t) => {
    const world = await open(t);
    await world.fill(3000);
    for (const order of orders) {
      const page = world.pinset.list({ filter: { metadata: [['k', 'v']] }, order, limit: 10 });
      t.equal(page.pins.length, 0);
      t.ok(page.cursor, order);
      t.equal(world.listAll({ filter: { metadata: [['k', 'v']] }, order, limit: 10 }).length, 0);
    }
  });

  t.test('limits of a query', async (t) => {
    const world = await open(t);
    t.throws(() => world.pinset.list({ filter: {}, order: 'key', limit: 0 }), { code: 'INVALID_ARGUMENT' });
    const cids = Array.from({ length: 1001 }, (_, i) => cid(i));
    t.throws(() => world.pinset.list({ filter: { cids }, order: 'key', limit: 1 }), { code: 'INVALID_ARGUMENT' });
  });
}

async function feedCases(t: Test, open: Open): Promise<void> {
  t.test('every revision with its keys, in order, from any revision on', async (t) => {
    const world = await open(t);
    for (let i = 0; i < 5; i++) await world.fill(2, i * 2);
    const { feed } = world.pinset;
    t.same(
      (feed.read(0, 100) as { revision: number }[]).map(({ revision }) => revision),
      [1, 2, 3, 4, 5],
    );
    t.same(
      (feed.read(3, 100) as { revision: number }[]).map(({ revision }) => revision),
      [4, 5],
    );
    t.equal((feed.read(0, 3) as object[]).length, 2, 'about as many keys as asked for');
    t.same(feed.read(5, 10), []);
    t.equal(feed.read(6, 10), 'gone', 'a revision of another life of the store');
    const [entry] = feed.read(4, 10) as { keys: Uint8Array[]; everything: boolean }[];
    const keys = [world.key(8), world.key(9)].map((key) => Buffer.from(key).toString('hex')).sort();
    t.same(
      entry?.keys.map((key) => Buffer.from(key).toString('hex')),
      keys,
    );
    t.equal(entry?.everything, false);
  });

  t.test('waiting: for the next, for the flush, until aborted', async (t) => {
    const world = await open(t);
    await world.fill(1);
    const { feed } = world.pinset;
    const never = new AbortController();
    await feed.wait(0, { flushed: true, signal: never.signal });
    const [committed, flushed] = [false, true].map((flushed) => feed.wait(1, { flushed, signal: never.signal }));
    const aborted = feed.wait(5, { flushed: false, signal: AbortSignal.abort(new Error('enough')) });
    await t.rejects(aborted, /enough/);
    const controller = new AbortController();
    const later = feed.wait(5, { flushed: false, signal: controller.signal });
    await world.fill(1, 5);
    await Promise.all([committed, flushed]);
    t.equal(feed.flushedRevision, 2);
    controller.abort(new Error('enough'));
    await t.rejects(later, /enough/);
  });

  t.test('a revision has a mark: another in another history, the same for as long as it is kept', async (t) => {
    const [one, other] = [await open(t), await open(t)];
    for (const world of [one, other]) await world.fill(1);
    await one.fill(1, 5);
    await other.fill(1, 6);
    const marks = (world: typeof one) => [0, 1, 2, 3].map((revision) => world.pinset.feed.mark(revision));
    const [mine, theirs] = [marks(one), marks(other)];
    t.same(mine[0], new Uint8Array(0));
    t.ok(mine[1]?.length);
    t.notSame(mine[2], theirs[2]);
    t.equal(mine[3], undefined);
    t.same(marks(one), mine);
  });

  t.test('old rows go, the last stays, and who is too far behind is told', async (t) => {
    const world = await open(t, { feedAgeMs: day });
    await world.pinset.start();
    for (let i = 0; i < 700; i++) {
      const change = { key: world.key(i), before: [], after: [world.dot(1, {})] };
      world.storage.transaction((tx) => world.pinset.write(tx, [change]));
    }
    await world.storage.flushed();
    await settled();
    await world.time.advance(2 * day);
    await world.fill(1, 1000);
    const rows = () => [...world.storage.read.range('pinset_feed')].length;
    await until(
      'the feed is trimmed',
      () => rows() <= 2,
      () => world.time.advance(20_000),
    );
    t.equal(world.pinset.feed.read(0, 10), 'gone');
    t.equal(world.pinset.feed.read(698, 10), 'gone');
    t.same(world.pinset.feed.read(701, 10), []);
    await world.restart();
    t.equal(world.pinset.feed.revision, 701);
  });

  t.test('a feed of too many bytes is trimmed before its time', async (t) => {
    const world = await open(t, { feedBytesMax: 1 });
    await world.pinset.start();
    for (let i = 0; i < 20; i++) await world.fill(5, i * 5);
    const rows = () => [...world.storage.read.range('pinset_feed')].length;
    await until(
      'the feed is trimmed',
      () => rows() <= 1,
      () => world.time.advance(60_000),
    );
    t.equal(rows(), 1);
    await world.pinset.stop();
  });
}

async function snapshotCases(t: Test, open: Open): Promise<void> {
  t.test('rows, digest and revision are of one state, whatever is written meanwhile', async (t) => {
    const world = await open(t);
    await world.fill(50);
    const { pinset } = world;
    const before = pinset.digest.root();
    const opening = pinset.snapshot();
    await world.fill(10, 100);
    const snapshot = await opening;
    await world.fill(10, 200);
    const rows = [...snapshot.rows(0, 65_536)];
    t.equal(rows.length, 50);
    t.equal(snapshot.revision, 1);
    t.same(snapshot.digest.root(), before);
    const half = [...snapshot.rows(0, 32_768)].length + [...snapshot.rows(32_768, 65_536)].length;
    t.equal(half, 50);
    t.equal([...snapshot.rows(0, 65_536, rows[9]?.key as Uint8Array)].length, 40);
    snapshot.close();
    snapshot.close();
  });

  t.test('queued and not committed: not in the snapshot, nor in its digest', async (t) => {
    const world = await open(t);
    await world.fill(5);
    for (let i = 0; i < 30; i++) {
      world.storage.transaction((tx) =>
        world.pinset.write(tx, [{ key: world.key(50 + i), before: [], after: [world.dot(1, {})] }]),
      );
      const snapshot = await world.pinset.snapshot();
      const model = new PinsetModel();
      for (const { key, row } of snapshot.rows(0, 65_536)) model.set(key, row);
      const { DigestSums } = await import('../../src/pinset/digest-sums.ts');
      const { rowHash } = await import('../../src/pinset/row-hash.ts');
      const { bucketOf } = await import('../../src/model/pin-key.ts');
      const digest = new DigestSums();
      for (const { key, row } of model.rows.values()) digest.add(bucketOf(key), rowHash(world.pinset.names, key, row));
      t.same(snapshot.digest.root(), digest.root());
      t.equal(model.rows.size, 5 + snapshot.revision - 1);
      snapshot.close();
    }
  });
}

async function shadowCases(t: Test, open: Open): Promise<void> {
  // A crash between any two steps: the world is closed and opened again.
  for (const crashing of [false, true]) {
    t.test(
      `it is filled, catches up, is indexed and swapped in${crashing ? ', with a restart between any two steps' : ''}`,
      async (t) => {
        const world = await open(t, { indexedMetadata: ['owner'] });
        const step = async () => {
          if (crashing) await world.restart();
        };
        await world.fill(20);
        const model = new PinsetModel();
        const cursor = world.pinset.list({ filter: {}, order: 'key', limit: 5 }).cursor as Uint8Array;
        const shadow = () => world.pinset.shadow;
        const indexed = async () => {
          for (let done = false; !done; ) {
            done = await shadow().buildIndexes();
            await step();
          }
        };
        shadow().begin();
        await step();
        const rows = Array.from({ length: 30 }, (_, i) => ({
          key: world.key(i + 10, namespaces[i % 3] as string),
          row: [world.dot(2, { name: `new ${i}`, createdMs: i, metadata: [['owner', `${i % 2}`]] })],
        })).sort((a, b) => Buffer.compare(a.key, b.key));
        for (const { key, row } of rows) model.set(key, row);
        for (const to of [20_000, 40_000, 65_536]) {
          const from = shadow().nextBucket;
          const piece = rows.filter(({ key }) => bucket(key) >= from && bucket(key) < to);
          world.storage.transaction((tx) => shadow().append(tx, piece, to));
          await step();
          await indexed();
          // Catching up, on what is filled.
          const [first] = piece;
          const changed = world.dot(1, { name: `changed at ${to}` });
          if (first === undefined) continue;
          world.storage.transaction((tx) =>
            shadow().write(tx, [{ key: first.key, before: shadow().row(tx, first.key), after: [changed] }]),
          );
          model.set(first.key, [changed]);
          const late = world.key(500);
          t.throws(
            () =>
              world.storage.transaction((tx) => {
                shadow().write(tx, [{ key: first.key, before: shadow().row(tx, first.key), after: [] }]);
                throw new Error('given up');
              }),
            /given up/,
          );
          if (bucket(late) >= to) {
            t.throws(
              () =>
                world.storage.transaction((tx) => shadow().write(tx, [{ key: late, before: [], after: [changed] }])),
              /not filled/,
            );
          }
          await step();
        }
        t.equal(world.pinset.count(), 20, 'the live set knows nothing of it');
        await indexed();
        t.equal(shadow().state, 'ready');
        const last = rows.at(-1) as (typeof rows)[number];
        world.storage.transaction((tx) => shadow().write(tx, [{ key: last.key, before: last.row, after: [] }]));
        model.set(last.key, []);
        await step();
        const liveRoot = world.pinset.digest.root();
        t.throws(
          () =>
            world.storage.transaction((tx) => {
              shadow().swap(tx, 'everything');
              throw new Error('given up');
            }),
          /given up/,
        );
        await settled();
        t.same(world.pinset.digest.root(), liveRoot, 'a swap that was given up is undone');
        t.equal(shadow().state, 'ready');
        const named = [world.key(1), last.key];
        await world.storage.transaction((tx) => shadow().swap(tx, named)).flushed;
        await settled();
        await step();
        expectEqual(world, model);
        t.equal(world.pinset.feed.revision, 2);
        t.equal((world.pinset.feed.read(1, 10) as { keys: object[] }[])[0]?.keys.length, 2);
        for (const order of orders) {
          equal(order, ids(world.listAll({ filter: {}, order, limit: 4 })), ids(sorted(world, model, order)));
        }
        t.doesNotThrow(
          () => world.pinset.list({ filter: {}, order: 'key', limit: 5, cursor }),
          'a cursor by key lives on',
        );
        t.throws(() => shadow().begin(), /emptying/);
        await world.pinset.start();
        await until(
          'the old set is empty',
          () => shadow().state === 'none',
          () => world.time.advance(1000),
        );
        t.equal(world.storage.tableSize('pins_a').entries, 0);
        await world.storage.flushed();
        await world.fill(3, 300);
        await world.restart();
        for (let i = 0; i < 3; i++) model.set(world.key(300 + i), rowIn(world, 300 + i));
        expectEqual(world, model);
      },
    );
  }

  t.test('everything: when too much has changed to name it', async (t) => {
    const world = await open(t);
    await world.pinset.start();
    await world.fill(3);
    world.pinset.shadow.begin();
    world.storage.transaction((tx) => world.pinset.shadow.append(tx, [], 65_536));
    while (!(await world.pinset.shadow.buildIndexes()));
    await world.storage.transaction((tx) => world.pinset.shadow.swap(tx, 'everything')).flushed;
    await settled();
    const [entry] = world.pinset.feed.read(1, 10) as { everything: boolean; keys: object[] }[];
    t.equal(entry?.everything, true);
    t.equal(world.pinset.count(), 0);
    const snapshot = await world.pinset.snapshot();
    t.equal([...snapshot.rows(0, 65_536)].length, 0);
    snapshot.close();
    await until(
      'the old set is empty',
      () => world.pinset.shadow.state === 'none',
      () => world.time.advance(1000),
    );
    t.equal(world.storage.tableSize('pins_a').entries, 0);
    await world.pinset.stop();
  });

  t.test('discarded at any point, it is emptied, and another can begin', async (t) => {
    const world = await open(t);
    await world.pinset.start();
    await world.fill(3);
    const model = new PinsetModel();
    for (let i = 0; i < 3; i++) model.set(world.key(i), rowIn(world, i));
    const rows = [{ key: world.key(7), row: [world.dot(1, { name: 'x' })] }];
    for (const steps of [0, 1, 2]) {
      const { shadow } = world.pinset;
      shadow.begin();
      if (steps > 0) world.storage.transaction((tx) => shadow.append(tx, rows, 65_536));
      if (steps > 1) while (!(await shadow.buildIndexes()));
      shadow.discard();
      t.equal(shadow.state, 'emptying');
      t.throws(() => shadow.nextBucket);
      await until(
        'it is empty',
        () => shadow.state === 'none',
        () => world.time.advance(1000),
      );
      await world.storage.flushed();
      expectEqual(world, model);
    }
    await world.pinset.stop();
  });
}

function rowIn(world: PinsetWorld, number: number): PinRow {
  return world.storage.transaction((tx) => world.pinset.row(tx, world.key(number))).value;
}

function bucket(key: Uint8Array): number {
  return ((key[0] as number) << 8) | (key[1] as number);
}

async function damageCases(t: Test, open: Open): Promise<void> {
  t.test(
    'a damaged row: DATA_CORRUPT that names the pin, or a pin that reads otherwise; never anything else',
    async (t) => {
      const world = await open(t);
      for (const name of [peer(0), peer(1)]) world.pinset.names.peers.ensure(name);
      const dots = [1, 2].map((author) => world.dot(author, { name: 'pin', expiresMs: 5 }, { allocations: [0, 1] }));
      await world.put([{ key: world.key(1), row: dots }]);
      const [{ key, value }] = [...world.storage.read.range('pins_a')] as [{ key: Uint8Array; value: Uint8Array }];
      let corrupt = 0;
      for (let at = 0; at < value.length; at++) {
        for (const flip of [1, 4, 0x80, 0xff]) {
          const damaged = Uint8Array.from(value);
          damaged[at] = (damaged[at] as number) ^ flip;
          await world.storage.transaction((tx) => tx.put('pins_a', key, damaged)).committed;
          const noticed: unknown[] = [];
          try {
            world.pinset.get(key)?.pin;
          } catch (error) {
            noticed.push(error);
          }
          for (const query of [
            { filter: { namePrefix: 'p' }, order: 'key', limit: 5 },
            { filter: {}, order: 'created', limit: 5 },
            { filter: { cids: [cid(1)] }, order: 'name', limit: 5 },
          ] as const) {
            const page = world.pinset.list(query);
            for (const { pin, etag } of page.pins)
              equal('what is listed can be read', [pin.cid, etag.length], [pin.cid, 16]);
            noticed.push(...page.damaged);
          }
          for (const error of noticed) {
            if (!isPinfoldError(error, 'DATA_CORRUPT')) throw error;
            equal('the pin is named', error.details.facts?.pin_key, Buffer.from(key).toString('hex'));
            corrupt++;
          }
          world.pinset.expired(9e15, 5);
          equal('its key', world.pinset.keys(undefined, 5), [key]);
        }
      }
      t.ok(corrupt > 20, `${corrupt} were noticed`);
    },
  );

  t.test('a damaged row keeps no other from a listing, in any order; each listing names it once', async (t) => {
    const world = await open(t);
    await world.fill(40);
    const keys = world.pinset.keys(undefined, 100);
    const victim = keys[17] as Uint8Array;
    await world.storage.transaction((tx) => tx.put('pins_a', victim, Buffer.of(0xff, 1, 2))).committed;
    const filters: PinFilter[] = [{}, { cids: keys.map((key) => pinKeyParts(key).cid) }];
    for (const filter of filters) {
      for (const order of ['key', 'name', 'created', 'created-descending'] as const) {
        const pins: string[] = [];
        const damaged: unknown[] = [];
        let cursor: Uint8Array | undefined;
        do {
          const page = world.pinset.list({ filter, order, limit: 7, ...(cursor && { cursor }) });
          pins.push(...page.pins.map(({ key }) => Buffer.from(key).toString('hex')));
          damaged.push(...page.damaged.map(({ details }) => details.facts?.pin_key));
          cursor = page.cursor;
        } while (cursor !== undefined);
        const others = keys.filter((key) => key !== victim).map((key) => Buffer.from(key).toString('hex'));
        t.same(pins.sort(), others.sort(), order);
        t.same([...new Set(damaged)], [Buffer.from(victim).toString('hex')], order);
      }
    }
  });

  t.test('a newer format is refused with advice', async (t) => {
    const world = await open(t);
    const row = Buffer.from(JSON.stringify({ version: 99 }));
    await world.storage.transaction((tx) => tx.put('pinset_state', Buffer.from('format'), row)).flushed;
    await t.rejects(world.restart(), { code: 'CONFIG_INVALID', message: /format 99.*run the version/ });
  });

  t.test('a digest that the feed cannot bring forward is counted anew', async (t) => {
    const world = await open(t);
    for (let i = 0; i < 3; i++) await world.fill(2, i * 2);
    const root = world.pinset.digest.root();
    const first = [...world.storage.read.range('pinset_feed', { limit: 1 })][0]?.key as Uint8Array;
    await world.storage.transaction((tx) => tx.remove('pinset_feed', first)).flushed;
    world.handle = await world.handle.reopen();
    const reopening = PinsetWorld.open(world.handle, {}, world.time);
    let done = false;
    reopening.then(
      () => (done = true),
      () => (done = true),
    );
    await until(
      'it is open',
      () => done,
      () => world.time.advance(1),
    );
    t.same((await reopening).pinset.digest.root(), root);
  });
}

async function metadataCases(t: Test, open: Open): Promise<void> {
  t.test('a key that is indexed later is built, one that is no more is emptied', async (t) => {
    const world = await open(t, { indexedMetadata: [] });
    const rows = Array.from({ length: 30 }, (_, i) => ({
      key: world.key(i),
      row: [
        world.dot(1, {
          metadata: [
            ['owner', `${i % 3}`],
            ['x', 'y'],
          ],
        }),
      ],
    }));
    await world.put(rows);
    const entries = () => world.storage.tableSize('pins_by_metadata_a').entries;
    const query = { filter: { metadata: [['owner', '1']] as const }, order: 'key' as const, limit: 100 };
    t.equal(entries(), 0);
    const expected = ids(world.listAll(query));
    t.equal(expected.length, 10);
    await world.restart({ indexedMetadata: ['owner'] });
    t.same(ids(world.listAll(query)), expected, 'before the index is built');
    await world.pinset.start();
    await until(
      'the index is built',
      () => entries() === 30,
      () => world.time.advance(1000),
    );
    await until(
      'and used',
      () => JSON.stringify(stateOf(world)).includes('"metadata":["owner"]'),
      () => world.time.advance(1000),
    );
    t.same(ids(world.listAll(query)), expected);
    await world.restart({ indexedMetadata: ['x'] });
    await world.pinset.start();
    await until(
      'the other index is there',
      () => stateOf(world).metadata[0] === 'x',
      () => world.time.advance(1000),
    );
    t.equal(entries(), 30);
    t.same(ids(world.listAll(query)), expected);
    await world.pinset.stop();
  });
}

function stateOf(world: PinsetWorld): { metadata: string[] } {
  const row = world.storage.read.get('pinset_state', Buffer.from('sets'));
  return row === undefined ? { metadata: [] } : JSON.parse(Buffer.from(row).toString());
}
