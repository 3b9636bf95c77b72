import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { CID } from 'multiformats/cid';
import t from 'tap';
import { ExportEntrySchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { CarCheck } from '../../../src/cli/get/car-check.ts';
import { openTarget } from '../../../src/cli/get/target.ts';
import { TreeWriter } from '../../../src/cli/get/tree-writer.ts';
import { carHeader, carSection } from '../../../src/ipfs/dag/car-writer.ts';
import { leaf } from '../../suites/dags.ts';

const root = await mkdtemp(join(tmpdir(), 'pinfold-get-test-'));
t.teardown(() => rm(root, { recursive: true, force: true }));
let serial = 0;
const place = () => join(root, `${++serial}`);

type Entry = MessageInitShape<typeof ExportEntrySchema>;
const unwritable = { name: 'CliError', reason: 'CANNOT_WRITE' };
const exists = { name: 'CliError', reason: 'EXISTS' };
const bad = { name: 'CliError', reason: 'BAD_ANSWER' };

/** Texts are content. */
async function write(told: readonly (Entry | string)[], to = place(), umask = 0o022): Promise<string> {
  const writer = new TreeWriter(to, umask);
  try {
    for (const each of told) {
      if (typeof each === 'string') await writer.data(Buffer.from(each));
      else await writer.entry(create(ExportEntrySchema, each));
    }
    await writer.end();
    await writer.finishRoot(to);
    return to;
  } finally {
    await writer.close();
  }
}

const directory = (path: string, more: Entry = {}): Entry => ({ path, directory: true, ...more });
const file = (path: string, size: number, more: Entry = {}): Entry => ({ path, size: BigInt(size), ...more });

t.test('a tree with permissions, times and links', async (t) => {
  const to = await write([
    directory('', { mode: 0o555, mtime: { seconds: 1_000n } }),
    directory('a', { mtime: { seconds: 2_000n, nanoseconds: 500_000_000 } }),
    file('a/x', 5, { mode: 0o104755 }),
    'he',
    'llo',
    directory('a/b', { mode: 0o700 }),
    file('a/b/empty', 0),
    { path: 'a/link', symlink: '../nowhere', mtime: { seconds: 3_000n } },
    file('y', 1, { mode: 0o400, mtime: { seconds: -4_000n } }),
    'y',
  ]);
  t.equal(await readFile(join(to, 'a', 'x'), 'utf8'), 'hello');
  t.equal(await readlink(join(to, 'a', 'link')), '../nowhere');
  t.same((await readdir(join(to, 'a'))).sort(), ['b', 'link', 'x']);
  const modes: [string, number, number | undefined][] = [
    ['', 0o555, 1_000_000],
    ['a', 0o755, 2_000_500],
    ['a/x', 0o755 & ~process.umask(), undefined],
    ['a/b', 0o700, undefined],
    ['y', 0o400, -4_000_000],
  ];
  for (const [path, mode, mtimeMs] of modes) {
    const stat = await lstat(join(to, path));
    t.equal(stat.mode & 0o7777, mode, path);
    if (mtimeMs !== undefined) t.equal(stat.mtimeMs, mtimeMs, path);
  }
  t.equal((await lstat(join(to, 'a', 'link'))).mtimeMs, 3_000_000);
});

t.test('a single file, and a single link', async (t) => {
  t.equal(await readFile(await write([file('', 3), 'abc']), 'utf8'), 'abc');
  t.equal(await readlink(await write([{ path: '', symlink: 'there' }])), 'there');
});

t.test('nothing is written outside, whatever the daemon says', async (t) => {
  const outside = join(root, 'outside');
  await mkdir(outside);
  const paths = ['/etc/x', '..', '../x', 'a/../../x', 'a/..', './x', 'a//x', 'a/', 'a/\0', '.', '/', 'none/x'];
  for (const path of paths) {
    await t.rejects(write([directory(''), directory('a'), file(path, 0)]), bad, path);
    await t.rejects(write([directory(''), directory('a'), directory(path)]), bad, path);
  }
  await t.rejects(write([directory(''), { path: 'l', symlink: outside }, file('l/x', 0)]), bad, 'below a link');
  await t.rejects(write([{ path: '', symlink: outside }, file('x', 0)]), bad, 'below a link that is all');
  await t.rejects(
    write([directory(''), { path: 'l', symlink: outside }, directory('l'), file('l/x', 0)]),
    unwritable,
    'a directory in place of a link',
  );
  await t.rejects(
    write([directory(''), { path: 'l', symlink: join(outside, 'new') }, file('l', 0)]),
    unwritable,
    'a file in place of a link',
  );
  await t.rejects(write([directory(''), file('f', 0), file('f/x', 0)]), bad, 'below a file');
  await t.rejects(
    write([directory(''), directory('a'), directory('b'), file('a/x', 0)]),
    bad,
    'in a directory that was left',
  );
  t.same(await readdir(outside), []);
});

t.test('content that does not fit what was said', async (t) => {
  await t.rejects(write([]), bad);
  await t.rejects(write(['x']), bad);
  await t.rejects(write([file('a', 0)]), bad);
  await t.rejects(write([directory(''), 'x']), bad);
  await t.rejects(write([file('', 3), 'ab']), bad);
  await t.rejects(write([file('', 3), 'abcd']), bad);
  await t.rejects(write([directory(''), file('a', 3), 'ab', file('b', 0)]), bad);
  await t.rejects(write([directory(''), file('a', 0), file('a', 0)]), unwritable);
});

t.test('a target is there when all of it is, and nothing else is left', async (t) => {
  const folder = place();
  await mkdir(folder);
  const path = join(folder, 'target');
  const cut = await openTarget(path);
  await write([directory(''), directory('a', { mode: 0o000 }), file('b', 0)], cut.growing);
  t.equal((await readdir(folder)).length, 1);
  await cut.clean();
  t.same(await readdir(folder), []);

  const whole = await openTarget(path);
  await write([directory('', { mode: 0o555 }), file('b', 0)], whole.growing);
  await whole.settle();
  await whole.clean();
  t.same(await readdir(folder), ['target']);
  t.same(await readdir(path), ['b']);
  await t.rejects(openTarget(path), exists);
  await symlink('nowhere', join(folder, 'link'));
  await t.rejects(openTarget(join(folder, 'link')), exists, 'a link that leads nowhere is there, too');
  await t.rejects(openTarget(join(folder, 'none', 'x')), unwritable);

  const late = await openTarget(join(folder, 'late'));
  await writeFile(late.growing, 'mine');
  await writeFile(late.path, 'of somebody else');
  await t.rejects(late.settle(), exists);
  await late.clean();
  t.equal(await readFile(late.path, 'utf8'), 'of somebody else');
});

t.test('a CAR must end where a block does', async (t) => {
  const blocks = [leaf('a'), leaf('b'.repeat(300)), leaf('')];
  const links = blocks.map(({ cid }) => CID.decode(cid));
  const pieces = [carHeader(links.slice(0, 1)), ...blocks.flatMap(({ bytes }, at) => carSection(links[at]!, bytes))];
  const car = Buffer.concat(pieces);
  const ends = new Set([carHeader(links.slice(0, 1)).length]);
  for (const [at, { bytes }] of blocks.entries())
    ends.add(Math.max(...ends) + Buffer.concat(carSection(links[at]!, bytes)).length);
  for (let length = 0; length <= car.length; length++) {
    for (const step of [1, 7, car.length]) {
      const check = new CarCheck();
      for (let at = 0; at < length; at += step) check.push(car.subarray(at, Math.min(length, at + step)));
      if (ends.has(length)) check.end();
      else t.throws(() => check.end(), bad);
    }
  }
  const check = new CarCheck();
  check.push(car);
  t.equal(check.blocks, 3);
  t.throws(() => new CarCheck().push(Buffer.alloc(9, 0xff)), bad);
  t.throws(() => new CarCheck().push(Buffer.alloc(1)), bad);
});
