import t from 'tap';
import { adder } from '../../../src/adder/adder.ts';
import { type ImportOptions, importForm, profileNames } from '../../../src/adder/import-options.ts';
import { hasherNames } from '../../../src/ipfs/dag/hashers.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';

const refused: readonly [field: string, options: readonly ImportOptions[]][] = [
  ['profile', ['unixfs-v2', 'Default', 'x'.repeat(1_000)].map((profile) => ({ profile }))],
  ['cid_version', [2, -1, 0.5, Number.NaN].map((cidVersion) => ({ cidVersion }))],
  ['cid_version', ['blake3', 'sha1', 'sha2-512'].map((hash) => ({ cidVersion: 0, hash }))],
  ['cid_version', [{ profile: 'unixfs-v0-2015', hash: 'blake2b-256' }]],
  ['hash', ['md5', 'identity', 'sha2-384', 'blake2b-152', 'x'.repeat(1_000)].map((hash) => ({ hash }))],
  ['inline_limit', [-1, 129, 1.5].map((inlineLimit) => ({ inlineLimit }))],
  // With 1 a tree of files would never end.
  ['max_file_links', [-1, 0, 1, 8_193, 2.5].map((maxFileLinks) => ({ maxFileLinks }))],
  ['max_directory_links', [-1, 1_000_001, 0.5].map((maxDirectoryLinks) => ({ maxDirectoryLinks }))],
  ['max_hamt_fanout', [0, 1, 4, 9, 100, 2_048, -8, Number.NaN].map((maxHamtFanout) => ({ maxHamtFanout }))],
  ['hamt_threshold_bytes', [-1, 2_096_897, 0.5].map((hamtThresholdBytes) => ({ hamtThresholdBytes }))],
  [
    'chunker',
    [
      ...[
        'none',
        'size',
        'size-',
        'size-0',
        'size--1',
        'size-1.5',
        'size-0x10',
        'size-2096897',
        'size-99999999999',
        'size-1-2',
      ],
      ...['rabin-', 'rabin-0', 'rabin-47', 'rabin-1397932', 'rabin-20-30', 'rabin-1-2-3-4', 'rabin-a-b-c', 'Rabin'],
      ...['rabin-15-20-30', 'rabin-20-20-30', 'rabin-16-30-30', 'rabin-16-20-2096897', 'buzhash-1', 'x'.repeat(1_000)],
    ].map((chunker) => ({ chunker })),
  ],
];

t.test('what cannot be is refused, and the field named', async (t) => {
  for (const [field, all] of refused) {
    for (const options of all) {
      const error = { code: 'INVALID_ARGUMENT', details: { fields: [{ field: `import.${field}` }] } };
      const what = JSON.stringify(options).slice(0, 100);
      t.throws(() => importForm(options), error, what);
      t.throws(() => importForm(options), { message: /^.{1,1000}$/s }, `${what}: the message is short`);
    }
  }
});

t.test('what is at the limits is taken', async (t) => {
  const taken: readonly ImportOptions[] = [
    ...profileNames.map((profile) => ({ profile })),
    ...[...hasherNames.keys()].map((hash) => ({ hash, cidVersion: 1 })),
    ...['size-1', 'size-2096896', 'rabin', 'rabin-48', 'rabin-1397930', 'rabin-16-17-18', 'rabin-16-17-2096896'].map(
      (chunker) => ({ chunker }),
    ),
    ...[2, 8_192].map((maxFileLinks) => ({ maxFileLinks })),
    ...[0, 1_000_000].map((maxDirectoryLinks) => ({ maxDirectoryLinks })),
    ...[8, 16, 32, 64, 128, 256, 512, 1_024].map((maxHamtFanout) => ({ maxHamtFanout })),
    ...[0, 2_096_896].map((hamtThresholdBytes) => ({ hamtThresholdBytes })),
    ...[0, 128].map((inlineLimit) => ({ inlineLimit })),
    { profile: '', chunker: '', hash: '' },
  ];
  for (const options of taken) t.doesNotThrow(() => importForm(options), JSON.stringify(options));
});

t.test('versions and raw leaves follow from each other', async (t) => {
  const followed = (options: ImportOptions) => {
    const { block, file, mustBeRaw } = importForm(options);
    return [block.cidVersion, file.rawLeaves, mustBeRaw];
  };
  t.same(followed({}), [0, false, false]);
  t.same(followed({ hash: 'blake3' }), [1, true, false]);
  t.same(followed({ cidVersion: 1 }), [1, true, false]);
  t.same(followed({ cidVersion: 1, rawLeaves: false }), [1, false, false]);
  t.same(followed({ rawLeaves: true }), [0, true, true]);
  t.same(followed({ profile: 'unixfs-v1-2025' }), [1, true, true]);
  t.same(followed({ profile: 'unixfs-v1-2025', cidVersion: 0, rawLeaves: false }), [0, false, false]);
  t.same(followed({ profile: 'unixfs-v0-2015', cidVersion: 1 }), [1, false, false]);
});

t.test('a directory with more entries than may be, where none is sharded, is refused', async (t) => {
  async function* entries() {
    for (const path of ['d/a', 'd/b', 'd/c']) yield { path };
  }
  const add = async (maxDirectoryLinks: number) => {
    const options = {
      signal: new AbortController().signal,
      import: { maxDirectoryLinks, hamtThresholdBytes: 0 },
    };
    const sink = { putBlocks: async () => {} };
    let count = 0;
    for await (const _ of adder({ metrics: noMetrics }).add(entries(), sink, options)) count++;
    return count;
  };
  t.equal(await add(3), 4);
  const fields = [{ field: 'import.max_directory_links' }];
  await t.rejects(add(2), { code: 'INVALID_ARGUMENT', details: { fields } });
});
