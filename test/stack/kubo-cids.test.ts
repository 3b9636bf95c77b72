import { execFile } from 'node:child_process';
import { chmod, lstat, lutimes, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { decode } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import t from 'tap';
import { findKubo } from '../../scripts/kubo.ts';
import { type AddEntry, adder } from '../../src/adder/adder.ts';
import { type ImportOptions, profileNames } from '../../src/adder/import-options.ts';
import { UNIXFS } from '../../src/adder/unixfs/encode.ts';
import type { Block } from '../../src/ipfs/connector.ts';
import { hasherNames } from '../../src/ipfs/dag/hashers.ts';
import { DAG_PB } from '../../src/ipfs/dag/links.ts';
import { formatCid } from '../../src/model/cid.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { withoutKubo } from '../support/kubo.ts';

/** What is added by both; with neither content nor target: a directory. A path comes after the directory it is in. */
interface Input {
  path: string;
  bytes?: Uint8Array;
  symlink?: string;
  /** On disk. */
  mode?: number;
  /** On disk, seconds. */
  mtime?: number;
}

type Kept = 'mode' | 'mtime';

interface Case {
  name: string;
  inputs: readonly Input[];
  import?: ImportOptions;
  wrap?: boolean;
  /** Of everything, whatever there is on disk. */
  mode?: number;
  mtime?: { secs: bigint; nsecs?: number };
  /** As it is on disk. */
  preserves?: readonly Kept[];
  /** A repository with these settings. Default: those of the profile, if one is asked for. */
  config?: Readonly<Record<string, string>>;
  /** What the directory at the top must have become, so that a border is one. */
  isSharded?: boolean;
}

/** The same bytes for the same seed. */
function xorshift32(seed: number, length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

const all = xorshift32(2_463_534_242, 4_000_000);

function file(length: number, path = 'file'): Input[] {
  return [{ path, bytes: all.subarray(0, length) }];
}

/** Files of the same 6 bytes in a directory: what counts is their number, and the bytes of their names. */
function wide(count: number, nameBytes: number, lastNameBytes = nameBytes): Input[] {
  const names = Array.from({ length: count }, (_, at) => ({
    path: `wide/${`${at}-`.padEnd(at === count - 1 ? lastNameBytes : nameBytes, 'x')}`,
    bytes: all.subarray(0, 6),
  }));
  return [{ path: 'wide' }, ...names];
}

/** All that a tree can have. */
const tree: readonly Input[] = [
  { path: 'tree', mode: 0o750, mtime: 1_600_000_000.5 },
  { path: 'tree/.hidden', bytes: all.subarray(0, 10), mode: 0o600, mtime: 1 },
  { path: 'tree/a name with spaces.txt', bytes: all.subarray(0, 300_000), mode: 0o644, mtime: 1_700_000_000.25 },
  { path: 'tree/b', mode: 0o700, mtime: 1_500_000_000 },
  { path: 'tree/b/empty directory', mode: 0o1777, mtime: 4_000_000_000 },
  { path: 'tree/b/empty file', bytes: new Uint8Array(0), mode: 0o400, mtime: 0 },
  { path: 'tree/b/Zürich 東京 \u{1f600}', bytes: all.subarray(5, 25), mode: 0o4755, mtime: 1_234_567_890.125 },
  { path: 'tree/link', symlink: 'b/empty file', mtime: 1_300_000_000 },
  { path: 'tree/to nothing', symlink: '../nowhere/ü', mtime: 1_400_000_000.75 },
  { path: 'tree/~%41+&?#', bytes: all.subarray(7, 8), mode: 0o777, mtime: -1 },
];

const deep: readonly Input[] = Array.from({ length: 31 }, (_, depth) => ({
  path: Array.from({ length: depth + 1 }, (_, at) => `level ${at}`).join('/'),
  ...(depth === 30 ? { bytes: all.subarray(0, 999) } : {}),
}));

const small = { chunker: 'size-1000' };
const overfull = wide(1_030, 225);
const seven = wide(700, 9);
const tiny = { chunker: 'size-10' };
const low = {
  import: { hamtThresholdBytes: 10_000 },
  config: { 'Import.UnixFSHAMTDirectorySizeThreshold': '10000' },
};
const v1 = { profile: 'unixfs-v1-2025' };
const each = <T, C extends Case>(values: readonly T[], made: (value: T) => C): C[] => values.map(made);

const versions: readonly ImportOptions[] = [{ cidVersion: 0 }, { cidVersion: 1 }];
const leaves: readonly ImportOptions[] = versions.flatMap((version) => [
  version,
  { ...version, rawLeaves: true },
  { ...version, rawLeaves: false },
]);

const perVersion = (made: (form: ImportOptions) => Case[]): Case[] => versions.flatMap(made);

const groups: Record<string, readonly Case[]> = {
  'files around the borders of chunks and nodes': [
    ...each([0, 1, 262_143, 262_144, 262_145, 524_288, 3_000_000], (bytes) => ({
      name: `${bytes} bytes`,
      inputs: file(bytes),
    })),
    ...each([1, 1_000, 1_001, 173_999, 174_000, 174_001, 348_001], (bytes) => ({
      name: `${bytes} bytes in chunks of 1,000`,
      inputs: file(bytes),
      import: { ...small, cidVersion: 1 },
    })),
    ...each([174 * 174 * 10, 174 * 174 * 10 + 1], (bytes) => ({
      name: `${bytes} bytes in chunks of 10`,
      inputs: file(bytes),
      import: tiny,
    })),
    ...each([2, 3, 4, 175, 8_192], (maxFileLinks) => ({
      name: `at most ${maxFileLinks} links`,
      inputs: file(50_005),
      import: { ...small, maxFileLinks },
    })),
    {
      name: 'many chunks that are the same',
      inputs: [{ path: 'zeros', bytes: new Uint8Array(500_000) }],
      import: small,
    },
    { name: 'the largest chunk', inputs: file(3_000_000), import: { chunker: 'size-2096896' } },
  ],
  'versions of CIDs and raw leaves': leaves.flatMap((form) => [
    ...each([0, 1, 262_145], (bytes) => ({ name: `${bytes} bytes`, inputs: file(bytes), import: form })),
    { name: 'a tree', inputs: tree, import: form },
    { name: 'trickle', inputs: file(10_500), import: { ...form, ...small, trickle: true } },
  ]),
  trickle: [
    ...each([0, 1, 1_000, 1_001, 174_000, 174_001, 870_000, 870_001, 3_000_000], (bytes) => ({
      name: `${bytes} bytes in chunks of 1,000`,
      inputs: file(bytes),
      import: { ...small, trickle: true },
    })),
    ...each([2, 3, 4], (maxFileLinks) => ({
      name: `depth by ${maxFileLinks} links`,
      inputs: file(40_001),
      import: { ...tiny, trickle: true, maxFileLinks, cidVersion: 1 },
    })),
    ...each([20, 21, 41, 181, 1_001], (bytes) => ({
      name: `${bytes} bytes by 2 links`,
      inputs: file(bytes),
      import: { ...tiny, trickle: true, maxFileLinks: 2 },
    })),
  ],
  'chunks by content': [
    ...each(
      [
        'rabin',
        'rabin-1000',
        'rabin-48',
        'rabin-16-64-128',
        'rabin-16-17-18',
        'rabin-100-1000-3000',
        'rabin-87381-262144-393216',
      ],
      (chunker) => ({ name: chunker, inputs: file(chunker.length < 8 ? 3_000_000 : 300_000), import: { chunker } }),
    ),
    ...each([0, 1, 15, 16, 17, 333, 334, 1_500, 1_501], (bytes) => ({
      name: `rabin-1000, ${bytes} bytes`,
      inputs: file(bytes),
      import: { chunker: 'rabin-1000' },
    })),
    ...each([0, 1, 131_071, 131_072, 131_073, 524_288, 3_000_000, 4_000_000], (bytes) => ({
      name: `buzhash, ${bytes} bytes`,
      inputs: file(bytes),
      import: { chunker: 'buzhash', cidVersion: 1 },
    })),
    ...each(['rabin', 'rabin-1000', 'buzhash'], (chunker) => ({
      name: `${chunker} of zeros`,
      inputs: [{ path: 'zeros', bytes: new Uint8Array(1_500_000) }],
      import: { chunker },
    })),
    { name: 'buzhash, trickle', inputs: file(2_500_000), import: { chunker: 'buzhash', trickle: true } },
  ],
  'hash functions': each([...hasherNames.keys()], (hash) => ({
    name: hash,
    inputs: file(1_500),
    import: { ...small, hash },
  })),
  'blocks in their CIDs': [1, 32, 128]
    .flatMap((inlineLimit) => (inlineLimit === 32 ? leaves : versions).map((form) => ({ ...form, inlineLimit })))
    .flatMap((form) => [
      ...each([0, form.inlineLimit, form.inlineLimit + 1, 3_000], (bytes) => ({
        name: `${bytes} bytes`,
        inputs: file(bytes),
        import: { ...form, chunker: 'size-100' },
      })),
      { name: 'a tree', inputs: tree, import: form, wrap: true },
    ]),
  directories: [
    { name: 'a tree', inputs: tree },
    { name: 'a tree, wrapped', inputs: tree, wrap: true },
    { name: 'a tree, trickle, small chunks', inputs: tree, import: { ...small, trickle: true, cidVersion: 1 } },
    { name: 'a file, wrapped', inputs: file(10), wrap: true },
    { name: 'a file, wrapped, in its CID', inputs: file(10), wrap: true, import: { inlineLimit: 64 } },
    { name: 'empty', inputs: [{ path: 'empty' }] },
    { name: 'empty, wrapped', inputs: [{ path: 'empty' }], wrap: true, import: { cidVersion: 1 } },
    { name: '30 levels', inputs: deep, import: { cidVersion: 1 } },
    { name: '30 levels, blocks in their CIDs', inputs: deep, import: { inlineLimit: 128 } },
    { name: 'another hash function', inputs: tree, import: { hash: 'blake3' } },
    { name: 'a link', inputs: [{ path: 'link', symlink: 'target' }], wrap: true },
  ],
  'wide directories': [
    { name: '256 KiB of names and CIDs', inputs: wide(1_024, 222), isSharded: false },
    { name: 'one byte more', inputs: wide(1_024, 222, 223), isSharded: true },
    { name: '256 KiB, version 1', inputs: wide(1_024, 220), import: { cidVersion: 1 }, isSharded: false },
    { name: 'one byte more, version 1', inputs: wide(1_024, 220, 221), import: { cidVersion: 1 }, isSharded: true },
    { name: 'one byte more, wrapped', inputs: wide(1_024, 222, 223), wrap: true, isSharded: false },
    // A raw block of 6 bytes is a CID of 10.
    ...each([190, 191], (last) => ({
      name: `CIDs with blocks, ${last}`,
      inputs: wide(50, 190, last),
      import: { ...low.import, inlineLimit: 32, rawLeaves: true },
      config: low.config,
      isSharded: last === 191,
    })),
    // Kubo enters each while it is empty, with a shorter CID.
    ...each([166, 167], (last) => ({
      name: `directories in it, ${last}`,
      inputs: wide(50, 166, last).flatMap(({ path, bytes = new Uint8Array(0) }) =>
        path === 'wide'
          ? { path }
          : [{ path }, { path: `${path}/file`, bytes }, { path: `${path}/${'y'.repeat(40)}`, bytes }],
      ),
      import: { ...low.import, inlineLimit: 32 },
      config: low.config,
      isSharded: last === 167,
    })),
    // In a block 46 bytes and the name.
    { name: 'a block of 256 KiB', inputs: wide(1_024, 210, 206), import: v1, isSharded: false },
    { name: 'one byte more of a block', inputs: wide(1_024, 210, 207), import: v1, isSharded: true },
    ...each([139, 140], (last) => ({
      name: `a block with mode and time, ${last}`,
      inputs: wide(50, 154, last),
      import: { ...v1, ...low.import, rawLeaves: false },
      config: low.config,
      mode: 0o755,
      mtime: { secs: 1_700_000_000n },
      isSharded: last === 140,
    })),
    ...each([132, 133], (last) => ({
      name: `a block with a time before 1970, ${last}`,
      inputs: wide(50, 154, last),
      import: { ...v1, ...low.import, rawLeaves: false },
      config: low.config,
      mtime: { secs: -1n, nsecs: 5 },
      isSharded: last === 133,
    })),
    ...each([100, 101], (count) => ({
      name: `${count} of at most 100 entries`,
      inputs: wide(count, 20),
      import: { maxDirectoryLinks: 100 },
      isSharded: count > 100,
    })),
    {
      name: 'at most 1 entry',
      inputs: tree,
      import: { maxDirectoryLinks: 1, maxHamtFanout: 8 },
      wrap: true,
      isSharded: false,
    },
    ...each([8, 16, 32, 64, 128, 256, 512, 1_024], (maxHamtFanout) => ({
      name: `shards of ${maxHamtFanout}`,
      inputs: seven,
      import: { maxDirectoryLinks: 1, maxHamtFanout, cidVersion: maxHamtFanout % 3 === 2 ? 0 : 1 },
      isSharded: true,
    })),
    {
      name: 'shards in their CIDs',
      inputs: wide(40, 5),
      import: { maxDirectoryLinks: 1, maxHamtFanout: 8, inlineLimit: 128 },
      isSharded: true,
    },
    {
      name: 'a shard with mode and time',
      inputs: wide(300, 9),
      import: { maxDirectoryLinks: 299, cidVersion: 1 },
      mode: 0o775,
      mtime: { secs: 5n, nsecs: 7 },
      isSharded: true,
    },
    {
      name: 'a shard with mode and time of its own',
      inputs: tree,
      import: { maxDirectoryLinks: 3 },
      preserves: ['mode', 'mtime'],
      isSharded: true,
    },
    {
      name: 'never sharded',
      inputs: overfull,
      import: { hamtThresholdBytes: 0 },
      config: { 'Import.UnixFSHAMTDirectorySizeThreshold': '0' },
      isSharded: false,
    },
  ],
  profiles: profileNames.flatMap((profile) => [
    ...each([0, 262_145, 1_048_576, 1_048_577], (bytes) => ({
      name: `${profile}, ${bytes} bytes`,
      inputs: file(bytes),
      import: { profile },
    })),
    ...each([174_001, 1_024_000, 1_024_001], (bytes) => ({
      name: `${profile}, ${bytes} bytes in chunks of 1,000`,
      inputs: file(bytes),
      import: { profile, ...small },
    })),
    { name: `${profile}, tree`, inputs: tree, import: { profile }, wrap: true },
    { name: `${profile}, wide`, inputs: overfull, import: { profile } },
    {
      name: `${profile}, other version`,
      inputs: tree,
      import: { profile, cidVersion: profile === 'unixfs-v1-2025' ? 0 : 1 },
    },
    { name: `${profile}, other leaves`, inputs: tree, import: { profile, rawLeaves: profile !== 'unixfs-v1-2025' } },
  ]),
  'modes and times': [
    ...perVersion((form) => [
      ...each([0, 1, 1_000, 1_001, 174_001], (bytes) => ({
        name: `file of ${bytes} bytes`,
        inputs: file(bytes),
        import: { ...form, ...small },
        mode: 0o640,
        mtime: { secs: 1_700_000_000n, nsecs: 123_456_789 },
      })),
      ...each([0, 1_000, 174_001], (bytes) => ({
        name: `file of ${bytes} bytes, trickle`,
        inputs: file(bytes),
        import: { ...form, ...small, trickle: true },
        mode: 0o7,
        mtime: { secs: 1n },
      })),
      { name: 'mode of a tree', inputs: tree, import: form, mode: 0o755, wrap: true },
      { name: 'time of a tree', inputs: tree, import: form, mtime: { secs: 12_345n }, wrap: true },
      { name: 'modes on disk', inputs: tree, import: form, preserves: ['mode'] },
      { name: 'times on disk', inputs: tree, import: form, preserves: ['mtime'] },
      { name: 'both on disk, wrapped', inputs: tree, import: form, preserves: ['mode', 'mtime'], wrap: true },
      { name: 'a mode, and times on disk', inputs: tree, import: form, mode: 0o600, preserves: ['mode', 'mtime'] },
      {
        name: 'a time, and modes on disk',
        inputs: tree,
        import: form,
        mtime: { secs: 9n },
        preserves: ['mode', 'mtime'],
      },
    ]),
    ...each([-1n, -2_208_988_800n, 4_294_967_296n, 253_402_300_799n], (secs) => ({
      name: `${secs} seconds`,
      inputs: file(3),
      mtime: { secs, nsecs: 999_999_999 },
    })),
    {
      name: 'mode in a CID',
      inputs: tree,
      import: { inlineLimit: 128, cidVersion: 1 },
      mode: 0o777,
      mtime: { secs: 1n },
    },
    { name: 'mode of an empty directory', inputs: [{ path: 'empty' }], mode: 0o700, mtime: { secs: 1n, nsecs: 1 } },
  ],
};

/** What Kubo refuses, with the field that we name. */
const refused: readonly (Case & { field: string })[] = [
  { name: 'a mode in raw leaves', inputs: file(1), import: { rawLeaves: true }, mode: 1, field: 'raw_leaves' },
  { name: 'a time in raw leaves of a profile', inputs: file(1), import: v1, mtime: { secs: 1n }, field: 'raw_leaves' },
  {
    name: 'more than may be, and no shards',
    inputs: wide(3, 4),
    import: { maxDirectoryLinks: 2, hamtThresholdBytes: 0 },
    config: { 'Import.UnixFSHAMTDirectorySizeThreshold': '0' },
    field: 'max_directory_links',
  },
  ...each([4, 9, 2_048], (maxHamtFanout) => ({
    ...{ name: `shards of ${maxHamtFanout}`, inputs: wide(3, 4), import: { maxHamtFanout } },
    field: 'max_hamt_fanout',
  })),
  ...each(
    [
      'size-0',
      'size-2096897',
      'size-',
      'size-1-2',
      'rabin-15-20-30',
      'rabin-20-20-30',
      'rabin-16-30-30',
      'rabin-20-30',
      'none',
    ],
    (chunker) => ({ name: chunker, inputs: file(1), import: { chunker }, field: 'chunker' }),
  ),
  ...each(['rabin-1397932', 'rabin-16-20-2096897'], (chunker) => ({
    ...{ name: chunker, inputs: file(1), import: { chunker } },
    field: 'chunker',
  })),
  ...each(['md5', 'blake2b-152', 'sha2-999', 'murmur3-x64-64'], (hash) => ({
    ...{ name: hash, inputs: file(1), import: { hash } },
    field: 'hash',
  })),
  { name: 'version 0', inputs: file(1), import: { cidVersion: 0, hash: 'sha1' }, field: 'cid_version' },
  { name: 'version 2', inputs: file(1), import: { cidVersion: 2 }, field: 'cid_version' },
  { name: 'large blocks in CIDs', inputs: file(1), import: { inlineLimit: 129 }, field: 'inline_limit' },
];

const kubo = findKubo().path ?? '';
const folder = await mkdtemp(join(tmpdir(), 'pinfold-cids-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));

async function ipfs(repository: string, ...args: string[]): Promise<string> {
  const { PATH = '' } = process.env;
  const env = { PATH, HOME: folder, IPFS_PATH: repository, IPFS_TELEMETRY: 'off' };
  return (await promisify(execFile)(kubo, args, { env, maxBuffer: 16 * 1024 * 1024 })).stdout;
}

const repositories = new Map<string, Promise<string>>();

/** One for each profile and configuration. It is never online. */
function repositoryOf({ import: { profile = '' } = {}, config = {} }: Case): Promise<string> {
  const key = JSON.stringify([profile, config]);
  const made = async () => {
    const repository = join(folder, `repository-${repositories.size}`);
    await ipfs(repository, 'init', '--empty-repo', '--profile=test');
    if (profile !== '' && profile !== 'default') await ipfs(repository, 'config', 'profile', 'apply', profile);
    // It forgets everything, at once.
    await ipfs(repository, 'config', '--json', 'Datastore.Spec', '{"type":"mem"}');
    await writeFile(join(repository, 'datastore_spec'), 'null');
    for (const [name, value] of Object.entries(config)) {
      await ipfs(repository, 'config', '--json', name, JSON.stringify(value));
    }
    return repository;
  };
  const repository = repositories.get(key) ?? made();
  repositories.set(key, repository);
  return repository;
}

const onDisk = new Map<readonly Input[], Promise<string>>();

/** Where they lie, written once. */
function written(inputs: readonly Input[]): Promise<string> {
  const write = async () => {
    const base = join(folder, `inputs-${onDisk.size}`);
    await mkdir(base);
    for (const { path, bytes, symlink: target } of inputs) {
      const place = join(base, path);
      if (target !== undefined) await symlink(target, place);
      else if (bytes !== undefined) await writeFile(place, bytes);
      else await mkdir(place);
    }
    // From the inside out: what is written changes the time of its directory.
    for (const { path, symlink: target, mode, mtime } of inputs.toReversed()) {
      const place = join(base, path);
      if (mode !== undefined) await chmod(place, mode);
      if (mtime !== undefined) await (target === undefined ? utimes : lutimes)(place, mtime, mtime);
    }
    return base;
  };
  const base = onDisk.get(inputs) ?? write();
  onDisk.set(inputs, base);
  return base;
}

/** CIDs by path, as `ipfs add` says them; of the wrapping directory by ''. */
async function byKubo(one: Case): Promise<Map<string, string>> {
  const [repository, base] = [await repositoryOf(one), await written(one.inputs)];
  const { mode, mtime, wrap = false, preserves = [] } = one;
  const { path, bytes } = one.inputs[0] as Input;
  const args = [
    ...flagsOf(one.import ?? {}),
    ...preserves.map((what) => `--preserve-${what}`),
    ...(mode === undefined ? [] : [`--mode=0${mode.toString(8)}`]),
    ...(mtime === undefined ? [] : [`--mtime=${mtime.secs}`, `--mtime-nsecs=${mtime.nsecs ?? 0}`]),
    ...(wrap ? ['--wrap-with-directory'] : []),
    // Hashing alone, Kubo leaves out some of what was asked for of the directory at the top.
    ...(bytes !== undefined && !wrap ? ['--only-hash'] : ['--pin=false']),
  ];
  const said = await ipfs(repository, 'add', '--recursive', '--hidden', ...args, join(base, path));
  const lines = said.trimEnd().split('\n');
  return new Map(
    lines.map((line) => /^added (\S+) ?(.*)$/.exec(line)?.slice(1) ?? []).map(([cid = '', at = '']) => [at, cid]),
  );
}

function flagsOf(options: ImportOptions): string[] {
  const { profile: _, hamtThresholdBytes: __, inlineLimit, ...rest } = options;
  const names = Object.entries(rest).map(([name, value]) => {
    return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}=${value}`;
  });
  return [...names, ...(inlineLimit === undefined ? [] : ['--inline', `--inline-limit=${inlineLimit}`])];
}

/** And of the last one, whether it is a sharded directory. */
async function byUs(one: Case): Promise<{ cids: Map<string, string>; isSharded: boolean }> {
  const cids = new Map<string, string>();
  let last: Block | undefined;
  const sink = {
    async putBlocks(blocks: readonly Block[]) {
      last = blocks.at(-1);
    },
  };
  const options = {
    signal: new AbortController().signal,
    wrapWithDirectory: one.wrap ?? false,
    import: one.import ?? {},
  };
  for await (const { path, cid } of adder({ metrics: noMetrics }).add(entriesOf(one), sink, options)) {
    cids.set(path, formatCid(cid));
  }
  const { Data: data } = last !== undefined && CID.decode(last.cid).code === DAG_PB ? decode(last.bytes) : {};
  return { cids, isSharded: data?.[1] === UNIXFS.shard };
}

async function* entriesOf(one: Case): AsyncGenerator<AddEntry> {
  const { inputs, mode, mtime, wrap = false } = one;
  const given = { ...(mode === undefined ? {} : { mode }), ...(mtime === undefined ? {} : { mtime }) };
  if (wrap) yield { path: '', ...given };
  for (const { path, bytes, symlink: target } of inputs) {
    const content = bytes === undefined ? {} : { content: pieces(bytes) };
    const link = target === undefined ? {} : { symlink: target };
    yield { path, ...content, ...link, ...(await preserved(one, path)), ...given };
  }
}

async function preserved({ inputs, preserves = [] }: Case, path: string): Promise<Pick<AddEntry, 'mode' | 'mtime'>> {
  if (preserves.length === 0) return {};
  const { mode, mtimeNs } = await lstat(join(await written(inputs), path), { bigint: true });
  const nsecs = BigInt.asUintN(64, (mtimeNs % second) + second) % second;
  return {
    ...(preserves.includes('mode') ? { mode: Number(mode) & 0o7777 } : {}),
    ...(preserves.includes('mtime') ? { mtime: { secs: (mtimeNs - nsecs) / second, nsecs: Number(nsecs) } } : {}),
  };
}

const second = 1_000_000_000n;

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100_003) yield bytes.subarray(at, at + 100_003);
}

for (const [name, cases] of Object.entries(groups)) {
  t.test(name, { skip: withoutKubo, timeout: 120_000 }, async (t) => {
    for (const one of cases) {
      const [theirs, ours] = await Promise.all([byKubo(one), byUs(one)]);
      const title = `${one.name} ${JSON.stringify(one.import ?? {})}`;
      // What differs alone: comparing a thousand names at once takes a second.
      const paths = [...new Set([...theirs.keys(), ...ours.cids.keys()])];
      const differing = paths.filter((path) => ours.cids.get(path) !== theirs.get(path));
      const those = (cids: Map<string, string>) => differing.map((path) => [path, cids.get(path)]);
      t.same(those(ours.cids), those(theirs), title);
      t.ok(theirs.size > 0, 'Kubo has said some');
      if (one.isSharded !== undefined) t.equal(ours.isSharded, one.isSharded, `${title}: sharded or not`);
    }
  });
}

t.test('what Kubo refuses is refused, and the field named', { skip: withoutKubo }, async (t) => {
  for (const one of refused) {
    await t.rejects(byKubo(one), /Error/, one.name);
    const fields = [{ field: `import.${one.field}` }];
    await t.rejects(byUs(one), { code: 'INVALID_ARGUMENT', details: { fields } }, one.name);
  }
});
