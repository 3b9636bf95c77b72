import t from 'tap';
import { type AddEntry, type Added, type AddOptions, adder } from '../../../src/adder/adder.ts';
import type { Block } from '../../../src/ipfs/connector.ts';
import { formatCid } from '../../../src/model/cid.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { prometheusMetrics } from '../../../src/runtime/prometheus.ts';
import { directory, files, hello, patternFile, smallChunks, wide } from './kubo-vectors.ts';

/** A sink that knows what is stored, and what not yet. */
function sink(behaviour: { putBlocks?: (blocks: readonly Block[]) => Promise<void> } = {}) {
  const state = { stored: new Set<string>(), open: 0, openMax: 0 };
  return {
    state,
    async putBlocks(blocks: readonly Block[]) {
      state.open++;
      state.openMax = Math.max(state.openMax, state.open);
      try {
        await (behaviour.putBlocks?.(blocks) ?? new Promise((resolve) => setImmediate(resolve)));
        for (const block of blocks) state.stored.add(formatCid(block.cid));
      } finally {
        state.open--;
      }
    },
  };
}

async function* pieces(bytes: Uint8Array, pieceBytes = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function* from<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

function text(value: string): AsyncIterable<Uint8Array> {
  return pieces(new TextEncoder().encode(value));
}

type Options = Omit<AddOptions, 'signal'> & { signal?: AbortSignal };

async function run(entries: Iterable<AddEntry> | AsyncIterable<AddEntry>, options: Options = {}, blocks = sink()) {
  const added: Added[] = [];
  const stream = Symbol.asyncIterator in entries ? entries : from(entries);
  const signal = options.signal ?? new AbortController().signal;
  for await (const one of adder({ metrics: noMetrics }).add(stream, blocks, { ...options, signal })) {
    if (one.isRoot) t.ok(blocks.state.stored.has(formatCid(one.cid)), 'a root that is yielded is stored');
    if (one.isRoot) t.equal(blocks.state.open, 0, 'and so is all below it');
    added.push(one);
  }
  t.equal(blocks.state.open, 0, 'nothing is on its way any more');
  return added;
}

async function rootOf(entries: Iterable<AddEntry>, options: Options = {}): Promise<string> {
  const roots = (await run(entries, options)).filter((one) => one.isRoot);
  t.equal(roots.length, 1, 'one root');
  return formatCid((roots[0] as Added).cid);
}

const v1 = { import: { cidVersion: 1 } };

t.test('files have the CIDs of Kubo', async (t) => {
  for (const [length, raw, version0, wrapped] of files) {
    const file = () => [{ path: 'f', content: pieces(patternFile(length), 100_001) }];
    t.equal(await rootOf(file(), v1), raw, `${length} bytes`);
    t.equal(await rootOf(file()), version0, `${length} bytes, version 0`);
    t.equal(
      await rootOf(file(), { import: { cidVersion: 1, rawLeaves: false } }),
      wrapped,
      `${length} bytes, no raw leaves`,
    );
  }
});

t.test('options have the meaning of those of Kubo', async (t) => {
  t.equal(
    await rootOf([{ path: 'f', content: pieces(patternFile(1_000_000)) }], {
      import: { cidVersion: 1, chunker: 'size-1000' },
    }),
    smallChunks,
  );
  t.equal(await rootOf([{ path: 'hello', content: text('hello world\n') }], v1), hello.plain);
  t.equal(
    await rootOf([{ path: 'hello', content: text('hello world\n') }], { ...v1, wrapWithDirectory: true }),
    hello.wrapped,
  );
});

t.test('directories have the CIDs of Kubo', async (t) => {
  const entries = (): AddEntry[] => [
    { path: 'd/a.txt', content: text('hello world\n') },
    { path: 'd/empty' },
    { path: 'd/sub' },
    { path: 'd/sub/zero', content: text('') },
    { path: 'd/sub/b.bin', content: pieces(patternFile(300_000)) },
  ];
  t.equal(await rootOf(entries(), v1), directory.plain);
  t.equal(await rootOf(entries(), { ...v1, wrapWithDirectory: true }), directory.wrapped);
  t.equal(await rootOf(entries()), directory.version0);
});

t.test('wide directories are sharded where Kubo shards them', async (t) => {
  for (const [count, cid] of wide) {
    const entries = Array.from({ length: count }, (_, at) => ({
      path: `w/file-with-a-longer-name-${at + 1}.txt`,
      content: text(`${at + 1}\n`),
    }));
    t.equal(await rootOf(entries, v1), cid, `${count} files`);
  }
});

t.test('tells what it has added', async (t) => {
  const entries = [
    { path: 'd/one', content: pieces(patternFile(300_000)) },
    { path: 'd/none' },
    { path: 'two', content: text('2') },
  ];
  const progress: number[] = [];
  const added = await run(entries, { onProgress: ({ bytes }) => progress.push(bytes) });
  t.same(
    added.map(({ path, contentBytes, isRoot }) => ({ path, contentBytes, isRoot })),
    [
      { path: 'd/one', contentBytes: 300_000, isRoot: false },
      { path: 'd/none', contentBytes: undefined, isRoot: false },
      { path: 'd', contentBytes: undefined, isRoot: true },
      { path: 'two', contentBytes: 1, isRoot: true },
    ],
  );
  t.equal(progress.at(-1), 300_001);
  t.same(
    progress,
    progress.toSorted((a, b) => a - b),
  );
});

t.test('an entry is asked for when the content before it is read', async (t) => {
  let isReading = false;
  async function* entries(): AsyncGenerator<AddEntry> {
    for (const path of ['a', 'b', 'c']) {
      t.notOk(isReading);
      yield {
        path,
        content: (async function* () {
          isReading = true;
          yield* pieces(patternFile(600_000));
          isReading = false;
        })(),
      };
    }
  }
  t.equal((await run(entries())).length, 3);
});

t.test('memory is bounded by batches', async () => {
  let inSink = 0;
  let inSinkMax = 0;
  const blocks = sink({
    putBlocks: async (batch) => {
      const bytes = batch.reduce((sum, block) => sum + block.bytes.length, 0);
      inSink += bytes;
      inSinkMax = Math.max(inSinkMax, inSink);
      await new Promise((resolve) => setImmediate(resolve));
      inSink -= bytes;
    },
  });
  await run([{ path: 'f', content: pieces(patternFile(40_000_000)) }], {}, blocks);
  t.ok(blocks.state.openMax <= 2, 'two batches at once');
  t.ok(inSinkMax <= 2 * (4 * 1024 * 1024 + 262_144), `${inSinkMax} bytes at once`);
});

t.test('so it is with many small blocks', async (t) => {
  let blocksMax = 0;
  const blocks = sink({
    putBlocks: async (batch) => {
      blocksMax = Math.max(blocksMax, batch.length);
    },
  });
  const entries = Array.from({ length: 3_000 }, (_, at) => ({ path: `d/${at}`, content: text(`${at}`) }));
  await run(entries, {}, blocks);
  t.equal(blocksMax, 1_024);
});

t.test('paths that name no place below the root are refused', async (t) => {
  const bad: [string, string[]][] = [
    ['empty', ['']],
    ['absolute', ['/etc/passwd']],
    ['parent', ['a/../../b']],
    ['dot', ['./a']],
    ['empty name', ['a//b']],
    ['slash at the end', ['a/']],
    ['NUL', ['a\0b']],
    ['not Unicode', ['\ud800']],
    ['long name', ['a'.repeat(256)]],
    ['deep', [Array(200).fill('a').join('/')]],
    ['twice', ['a', 'a']],
    ['in a file', ['a', 'a/b']],
    ['file over a directory', ['a/b', 'a']],
    ['a directory that was left', ['d/a', 'e', 'd/b']],
    ['a directory that was left, further up', ['d/a/x', 'd/b/x', 'd/a/y']],
  ];
  for (const [name, paths] of bad) {
    const entries = paths.map((path) => ({ path, content: text('x') }));
    const blocks = sink();
    await t.rejects(
      run(entries, {}, blocks),
      { code: 'INVALID_ARGUMENT', details: { fields: [{ field: 'path' }] } },
      name,
    );
  }
  await t.rejects(
    run([{ path: 'a/b', content: text('x') }, { path: 'a' }]),
    { code: 'INVALID_ARGUMENT' },
    'late directory',
  );
});

t.test('an abort ends it, also while the content hangs', async (t) => {
  const controller = new AbortController();
  const reason = new Error('the caller went away');
  const blocks = sink();
  let isReturned = false;
  const content = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        setImmediate(() => controller.abort(reason));
        return new Promise<never>(() => {});
      },
      return: async () => {
        isReturned = true;
        return { done: true as const, value: undefined };
      },
    }),
  };
  const failure = await run([{ path: 'a', content }], { signal: controller.signal }, blocks).catch((cause) => cause);
  t.equal(failure, reason);
  t.equal(blocks.state.open, 0);
  t.ok(isReturned, 'the source is told');
});

t.test('a content that breaks ends it, and no root is yielded', async (t) => {
  const blocks = sink();
  const broken = new Error('broken pipe');
  const content = (async function* () {
    yield patternFile(300_000);
    throw broken;
  })();
  const added: Added[] = [];
  const stream = adder({ metrics: noMetrics }).add(from([{ path: 'a', content }]), blocks, {
    signal: new AbortController().signal,
  });
  await t.rejects(async () => {
    for await (const one of stream) added.push(one);
  }, broken);
  t.same(added, []);
  t.equal(blocks.state.open, 0);
});

t.test('what the sink fails with ends it, and nothing is yielded as a root', async (t) => {
  const full = new PinfoldError('DISK_FULL', 'no space');
  const blocks = sink({ putBlocks: () => Promise.reject(full) });
  const failure = await run([{ path: 'a', content: text('x') }], {}, blocks).catch((cause) => cause);
  t.equal(failure, full);
  t.equal(blocks.state.open, 0);
});

t.test('leaving the stream early ends it', async (t) => {
  const blocks = sink();
  const stream = adder({ metrics: noMetrics }).add(
    from([
      { path: 'd/a', content: text('x') },
      { path: 'd/b', content: text('y') },
    ]),
    blocks,
    {
      signal: new AbortController().signal,
    },
  );
  for await (const _ of stream) break;
  t.equal(blocks.state.open, 0);
});

t.test('what is added is counted, however it ends', async (t) => {
  const metrics = prometheusMetrics({ processMetrics: false });
  let isFull = false;
  const blocks = sink({
    putBlocks: async () => {
      if (isFull) throw new PinfoldError('DISK_FULL', 'full');
    },
  });
  const { add } = adder({ metrics });
  const entry = () => from([{ path: 'a', content: text('some text') }]);
  const { signal } = new AbortController();
  for await (const _ of add(entry(), blocks, { signal }));
  for await (const _ of add(entry(), blocks, { signal })) break;
  isFull = true;
  await t.rejects(async () => {
    for await (const _ of add(entry(), blocks, { signal }));
  });
  const exposed = await metrics.expose();
  for (const outcome of ['done', 'aborted', 'failed'])
    t.match(exposed, `pinfold_adder_adds_total{outcome="${outcome}"} 1`);
  t.match(exposed, 'pinfold_adder_content_bytes_total 27');
  t.match(exposed, 'pinfold_adder_blocks_total 3');
  t.match(exposed, 'pinfold_adder_open 0');
});
