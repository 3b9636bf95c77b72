import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { BlockFiles, storeError } from '../../../src/ipfs/embedded/block-files.ts';
import { block, leaf, RAW, type TestBlock } from '../../suites/dags.ts';

async function store(t: Test, folder?: string) {
  const path = folder ?? (await mkdtemp(join(tmpdir(), 'pinfold-blocks-')));
  if (folder === undefined) t.teardown(() => rm(path, { recursive: true, force: true }));
  const files = new BlockFiles(path);
  await files.open();
  return { files, path };
}

const hash = (one: TestBlock) => one.link.multihash.bytes;
const never = () => false;

async function listed(files: BlockFiles): Promise<string[]> {
  const names: string[] = [];
  for await (const multihash of files.list()) names.push(Buffer.from(multihash).toString('hex'));
  return names.sort();
}

t.test('keeps blocks over a restart, and nothing temporary', async (t) => {
  const { files, path } = await store(t);
  const blocks = Array.from({ length: 300 }, (_, at) => leaf(`block ${at}`));
  await Promise.all(blocks.map((one) => files.put(hash(one), one.bytes)));
  t.same(await readdir(join(path, 'tmp')), []);
  await files.close();
  const again = (await store(t, path)).files;
  t.same(await listed(again), blocks.map((one) => Buffer.from(hash(one)).toString('hex')).sort());
  for (const one of blocks) t.same(await again.get(hash(one)), one.bytes);
  t.equal(await again.get(hash(leaf('another'))), undefined);
  await again.close();
  t.equal(
    again.usedBytes,
    blocks.reduce((sum, one) => sum + one.bytes.length, 0),
  );
});

t.test('a block put twice at once is written once', async (t) => {
  const { files } = await store(t);
  const one = leaf('twice');
  await Promise.all([files.put(hash(one), one.bytes), files.put(hash(one), one.bytes)]);
  await files.put(hash(one), one.bytes);
  t.equal(files.usedBytes, one.bytes.length);
  t.equal((await listed(files)).length, 1);
});

t.test('what is being written is there already for readers, and settled tells when it is on the disk', async (t) => {
  const { files } = await store(t);
  const one = leaf('under way');
  const put = files.put(hash(one), one.bytes);
  await Promise.resolve();
  t.ok(await files.has(hash(one)));
  t.same(await files.get(hash(one)), one.bytes);
  await files.settled();
  await put;
  t.same(await files.get(hash(one)), one.bytes);
});

t.test('removes, unless told to keep at the last moment', async (t) => {
  const { files } = await store(t);
  const one = leaf('to remove');
  await files.put(hash(one), one.bytes);
  t.equal(await files.remove(hash(one), () => true), undefined);
  t.ok(await files.has(hash(one)));
  t.equal(await files.remove(hash(one), never), one.bytes.length);
  t.equal(await files.remove(hash(one), never), undefined);
  t.equal(files.usedBytes, 0);
});

t.test('a block that is put while it is removed is there in the end', async (t) => {
  const { files } = await store(t);
  for (let round = 0; round < 50; round++) {
    const one = leaf(`race ${round}`);
    await files.put(hash(one), one.bytes);
    await Promise.all([files.remove(hash(one), never), delayed(round % 7, () => files.put(hash(one), one.bytes))]);
    // Whichever came first: if the removal came last, it removed what was put, and says so by the block not being there.
    const isThere = await files.has(hash(one));
    t.equal((await files.get(hash(one))) !== undefined, isThere);
    await files.put(hash(one), one.bytes);
    t.ok(await files.has(hash(one)));
  }
});

t.test('a put after the removal has begun waits for it and writes anew', async (t) => {
  const { files } = await store(t);
  const one = leaf('anew');
  await files.put(hash(one), one.bytes);
  let put: Promise<void> | undefined;
  await files.remove(hash(one), () => {
    // In the very moment of the decision.
    queueMicrotask(() => {
      put = files.put(hash(one), one.bytes);
    });
    return false;
  });
  await put;
  t.same(await files.get(hash(one)), one.bytes);
});

t.test('many and big blocks go in batches', async (t) => {
  const { files } = await store(t);
  const blocks = Array.from({ length: 40 }, (_, at) => block(RAW, new Uint8Array(1_000_000).fill(at)));
  await Promise.all(blocks.map((one) => files.put(hash(one), one.bytes)));
  t.equal(files.usedBytes, 40_000_000);
});

t.test('a failure is told to who put, and the next one goes on', async (t) => {
  const { files, path } = await store(t);
  const [one, other] = [leaf('fails'), leaf('works')];
  // A file where the folder of the block would be.
  const shard = (await shardOf(t, one)) as string;
  await writeFile(join(path, shard), '');
  const failure = await files.put(hash(one), one.bytes).catch((cause) => cause);
  t.equal(failure.kind, 'FAILED');
  t.same(await readdir(join(path, 'tmp')), []);
  await files.put(hash(other), other.bytes);
  t.ok(await files.has(hash(other)));
});

/** The folder that a store puts the block in. */
async function shardOf(t: Test, one: TestBlock): Promise<string | undefined> {
  const { files, path } = await store(t);
  await files.put(hash(one), one.bytes);
  return (await readdir(path)).find((name) => name !== 'tmp');
}

t.test('a full disk is told from other failures', async (t) => {
  const failure = (code: string) => Object.assign(new Error(code), { code });
  t.equal(storeError(failure('ENOSPC')).kind, 'DISK_FULL');
  t.equal(storeError(failure('EDQUOT')).kind, 'DISK_FULL');
  t.equal(storeError(failure('EIO')).kind, 'FAILED');
  t.equal(storeError(storeError(failure('ENOSPC'))).kind, 'DISK_FULL');
});

async function delayed<T>(turns: number, fn: () => Promise<T>): Promise<T> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
  return fn();
}
