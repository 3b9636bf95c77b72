import * as dagPb from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import { exporter, recursive } from 'ipfs-unixfs-exporter';
import { type ImporterOptions, importer } from 'ipfs-unixfs-importer';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import t from 'tap';
import { EXPORT_DEPTH_MAX, READ_AHEAD_BLOCKS_MAX } from '../../../src/cluster/export/constants.ts';
import { type ExportedEntry, type FilesEvent, filesOf } from '../../../src/cluster/export/files.ts';
import { ReadAhead } from '../../../src/cluster/export/read-ahead.ts';
import { block, cborNode, DAG_PB, leaf, type TestBlock } from '../../suites/dags.ts';
import { fc } from '../../support/fast-check.ts';
import { seededBytes } from '../../support/seeded-bytes.ts';

const damaged = { name: 'ConnectorError', kind: 'INVALID_DAG' };

type Files = Record<string, Uint8Array>;
type Store = Map<string, Uint8Array>;

async function imported(files: Files, options: ImporterOptions = {}): Promise<{ root: CID; store: Store }> {
  const store: Store = new Map();
  const sink = {
    async put(link: CID, bytes: Uint8Array) {
      store.set(link.toString(), bytes);
      return link;
    },
  } as Parameters<typeof importer>[1];
  let root: CID | undefined;
  const source = Object.entries(files).map(([path, content]) => ({ path, content }));
  for await (const { cid } of importer(source, sink, { wrapWithDirectory: true, ...options })) root = cid;
  return { root: root as CID, store };
}

/** The importer makes no file of no chunks. */
async function* inHundreds(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isEmpty = true;
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100);
    isEmpty &&= bytes.length === 0;
  }
  if (isEmpty) yield new Uint8Array();
}

const storeOf = (blocks: readonly TestBlock[]): Store => new Map(blocks.map(({ link, bytes }) => [`${link}`, bytes]));

/** What comes, and how many blocks were read at each event. */
async function* walked(root: CID, store: Store): AsyncGenerator<{ event: FilesEvent; loads: number }> {
  let loads = 0;
  const load = async (cid: CID) => {
    loads++;
    if (cid.multihash.code === 0) return cid.multihash.digest;
    const bytes = store.get(cid.toString());
    if (bytes === undefined) throw new Error(`${cid} is missing`);
    return bytes;
  };
  for await (const event of filesOf(root, new ReadAhead(load))) yield { event, loads };
}

async function read(root: CID, store: Store) {
  const entries: ExportedEntry[] = [];
  const contents = new Map<string, Buffer>();
  for await (const { event } of walked(root, store)) {
    const path = event.kind === 'entry' ? event.entry.path : (entries.at(-1) as ExportedEntry).path;
    if (event.kind === 'data') contents.set(path, Buffer.concat([contents.get(path) as Buffer, event.bytes]));
    else {
      entries.push(event.entry);
      contents.set(path, Buffer.alloc(0));
    }
  }
  return { entries, contents };
}

/** The same by the library of the field. */
async function reference(root: CID, store: Store): Promise<[string, string, string][]> {
  const blockstore = {
    async *get(cid: CID) {
      yield store.get(cid.toString()) as Uint8Array;
    },
  } as unknown as Parameters<typeof exporter>[1];
  const all: [string, string, string][] = [];
  for await (const { cid, path } of recursive(root, blockstore)) {
    const entry = await exporter(cid, blockstore);
    const parts: Uint8Array[] = [];
    if (entry.type !== 'directory' && entry.type !== 'object')
      for await (const part of entry.content()) parts.push(part);
    const below = path.split('/').slice(1).join('/');
    all.push([below, entry.cid.toString(), Buffer.concat(parts).toString('base64')]);
  }
  return all;
}

t.test('files and directories as another implementation reads them, in its order', async (t) => {
  const names = fc.constantFrom('a', 'b', 'c', 'ü', 'a b', '..a', 'a.b', 'long'.repeat(20));
  const paths = fc.array(names, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  const contents = fc.integer({ min: 0, max: 3_000 }).map((length) => seededBytes(`${length}`, length));
  const options = fc.record({
    rawLeaves: fc.boolean(),
    wrapWithDirectory: fc.constant(true),
    cidVersion: fc.constantFrom(0 as const, 1 as const),
    shardSplitThresholdBytes: fc.constantFrom(1, 100_000),
    reduceSingleLeafToSelf: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(paths, contents), { minLength: 1, maxLength: 12 }),
      options,
      async (made, how) => {
        const files: Files = {};
        // The importer loses what comes to a directory again after the one above was sharded.
        const sorted = made.toSorted(([one], [two]) => (one < two ? -1 : 1));
        for (const [path, content] of sorted) {
          const isFree = Object.keys(files).every(
            (other) => !`${other}/`.startsWith(`${path}/`) && !`${path}/`.startsWith(`${other}/`),
          );
          if (isFree) files[path] = content;
        }
        const { root, store } = await imported(files, {
          ...how,
          chunker: inHundreds,
        });
        const { entries, contents: found } = await read(root, store);
        const ours = entries.map(({ path, cid }) => [
          path,
          CID.decode(cid).toString(),
          found.get(path)?.toString('base64'),
        ]);
        if (JSON.stringify(ours) !== JSON.stringify(await reference(root, store)))
          throw new Error('another order or content');
        for (const [path, content] of Object.entries(files)) {
          if (Buffer.compare(found.get(path) as Buffer, content) !== 0) throw new Error(`other content of ${path}`);
        }
      },
    ),
    { numRuns: 40 },
  );
  t.pass();
});

t.test('a large sharded directory; sizes, modes and times', async (t) => {
  const files = Object.fromEntries(
    Array.from({ length: 1_500 }, (_, at) => [`file ${at}`, Buffer.from(`content ${at}`)]),
  );
  const { root, store } = await imported(files, { shardSplitThresholdBytes: 1_000 });
  const { entries, contents } = await read(root, store);
  t.equal(entries.length, 1_501);
  t.ok(Object.entries(files).every(([path, content]) => contents.get(path)?.equals(content)));
  t.match(entries[0], { path: '', kind: 'directory', mode: undefined, mtime: undefined, size: 0n });
  t.match(
    entries.find(({ path }) => path === 'file 77'),
    { kind: 'file', size: 10n, target: undefined },
  );

  const data = new UnixFS({
    type: 'file',
    data: Buffer.from('x'),
    mode: 0o4755,
    mtime: { secs: -5n, nsecs: 7 },
  }).marshal();
  const file = block(DAG_PB, dagPb.encode({ Links: [], Data: data }));
  const { entries: one } = await read(file.link, storeOf([file]));
  t.match(one, [{ mode: 0o4755, mtime: { seconds: -5n, nanoseconds: 7 }, size: 1n }]);
});

t.test('symbolic links; content that is in a CID', async (t) => {
  const link = unixfs({ type: 'symlink', data: Buffer.from('../ä/b') });
  const inline = CID.createV1(0x55, createDigest(0x00, Buffer.from('inline')));
  const root = directory([
    ['here', inline],
    ['link', link.link],
  ]);
  const { entries, contents } = await read(root.link, storeOf([root, link]));
  t.match(entries, [{ path: '' }, { path: 'here', kind: 'file' }, { path: 'link', kind: 'symlink', target: '../ä/b' }]);
  t.equal(contents.get('here')?.toString(), 'inline');
});

t.test('a file is read as it is taken, not before', async (t) => {
  const { root, store } = await imported(
    { big: seededBytes('big', 100_000) },
    {
      chunker: inHundreds,
    },
  );
  let bytes = 0;
  for await (const { event, loads } of walked(root, store)) {
    if (event.kind === 'data') bytes += event.bytes.length;
    // Two directories, the nodes of the file, and what is ahead.
    if (loads > bytes / 100 + 2 * READ_AHEAD_BLOCKS_MAX + 8) t.fail(`${loads} blocks for ${bytes} bytes`);
  }
  t.equal(bytes, 100_000);
});

t.test('names that no file can have are refused, with the name', async (t) => {
  const text = leaf('x');
  for (const name of ['', '.', '..', 'a/b', '/', '../../etc', 'nul\0']) {
    const root = directory([[name, text.link]]);
    await t.rejects(read(root.link, storeOf([root, text])), {
      code: 'INVALID_ARGUMENT',
      message: JSON.stringify(name),
      details: { fields: [{ field: 'format' }] },
    });
    const shard = block(
      DAG_PB,
      dagPb.encode({
        Links: [{ Name: `00${name}`, Hash: text.link, Tsize: 1 }],
        Data: new UnixFS({ type: 'hamt-sharded-directory', fanout: 256n, hashType: 0x22n }).marshal(),
      }),
    );
    await t.rejects(read(shard.link, storeOf([shard, text])), name === '' ? damaged : { code: 'INVALID_ARGUMENT' });
  }
});

t.test('what is no file is refused, and what to do is said', async (t) => {
  const value = cborNode([]);
  const message = /export it as a CAR/;
  await t.rejects(read(value.link, storeOf([value])), { code: 'INVALID_ARGUMENT', message });
  const root = directory([['value', value.link]]);
  await t.rejects(read(root.link, storeOf([root, value])), { code: 'INVALID_ARGUMENT', message: /"value"/ });
  for (const Data of [undefined, Buffer.from('nonsense')]) {
    const node = block(DAG_PB, dagPb.encode({ Links: [], ...(Data && { Data }) }));
    await t.rejects(read(node.link, storeOf([node])), { code: 'INVALID_ARGUMENT', message });
  }
});

t.test('directories below each other have an end', async (t) => {
  const blocks = [directory([])];
  for (let depth = 0; depth <= EXPORT_DEPTH_MAX; depth++) blocks.push(directory([['d', blocks.at(-1)!.link]]));
  await t.rejects(read(blocks.at(-1)!.link, storeOf(blocks)), { code: 'INVALID_ARGUMENT', message: /deeper/ });
  const { entries } = await read(blocks.at(-2)!.link, storeOf(blocks));
  t.equal(entries.length, EXPORT_DEPTH_MAX + 1);
  let shard = sharded([]);
  const shards = [shard];
  for (let depth = 0; depth < 10; depth++) {
    shard = sharded([['00', shard.link]]);
    shards.push(shard);
  }
  await t.rejects(read(shard.link, storeOf(shards)), damaged);
});

t.test('a file that is not as long as it says is damaged', async (t) => {
  const text = leaf('four');
  const file = (sizes: bigint[], links: CID[]) => {
    const data = new UnixFS({ type: 'file', blockSizes: sizes });
    return block(
      DAG_PB,
      dagPb.encode({ Links: links.map((Hash) => ({ Hash, Name: '', Tsize: 1 })), Data: data.marshal() }),
    );
  };
  const inner = file([4n], [text.link]);
  for (const wrong of [
    file([5n], [text.link]),
    file([3n], [text.link]),
    file([4n, 1n], [text.link]),
    file([8n], [inner.link]),
    file([1n], [directory([]).link]),
    file([1n], [cborNode([]).link]),
  ]) {
    await t.rejects(read(wrong.link, storeOf([wrong, text, inner, directory([]), cborNode([])])), damaged);
  }
  const right = file([0n, 4n], [cborNode([]).link, inner.link]);
  const { contents } = await read(right.link, storeOf([right, inner, text]));
  t.equal(contents.get('')?.toString(), 'four', 'and what has no bytes is not even read');
});

function unixfs(init: ConstructorParameters<typeof UnixFS>[0]): TestBlock {
  return block(DAG_PB, dagPb.encode({ Links: [], Data: new UnixFS(init).marshal() }));
}

function directory(links: [name: string, to: CID][]): TestBlock {
  const Links = links.map(([Name, Hash]) => ({ Name, Hash, Tsize: 1 }));
  return block(DAG_PB, dagPb.encode({ Links, Data: new UnixFS({ type: 'directory' }).marshal() }));
}

function sharded(links: [name: string, to: CID][]): TestBlock {
  const Links = links.map(([Name, Hash]) => ({ Name, Hash, Tsize: 1 }));
  const data = new UnixFS({ type: 'hamt-sharded-directory', fanout: 256n, hashType: 0x22n });
  return block(DAG_PB, dagPb.encode({ Links, Data: data.marshal() }));
}
