import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type FolderPaths, folderPaths, initFolder, readFolder, readSecretFile } from '../../../src/config/folder.ts';
import { createIdentity, decodeIdentity, encodeIdentity } from '../../../src/config/identity.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { systemRandom } from '../../../src/runtime/random.ts';

const secret = new Uint8Array(32).fill(7);
const init = (folder: string, over: { secret?: Uint8Array | 'make' | 'none' } = {}) =>
  initFolder({ folder, configText: '{}\n', secret: 'make', ...over }, systemRandom);

const modeOf = (path: string) => statSync(path).mode & 0o777;

function snapshot(folder: string): Record<string, string> {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

async function failure(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!isPinfoldError(error)) throw error ?? new Error('it did not fail');
  return error;
}

t.test('init writes what a peer needs, and only its owner can read the keys', async (t) => {
  const folder = join(t.testdir(), 'deep', 'peer');
  const identity = await init(folder);
  const paths = folderPaths(folder);
  t.strictSame(readdirSync(folder).sort(), ['config.json', 'identity.json', 'secret']);
  t.equal(modeOf(folder), 0o700);
  t.equal(modeOf(paths.identity), 0o600);
  t.equal(modeOf(paths.secret), 0o600);
  t.match(readFileSync(paths.secret, 'utf8'), /^[0-9a-f]{64}\n$/);
  t.match(identity.peerId, /^12D3Koo/);
  const read = await readFolder(folder);
  t.equal(read.identity.peerId, identity.peerId);
  t.equal(read.secret?.length, 32);
  t.strictSame(read.warnings, []);
});

t.test('init twice is an error that changes nothing', async (t) => {
  const folder = t.testdir();
  await init(folder);
  const before = snapshot(folder);
  t.match(await failure(init(folder, { secret })), { code: 'ALREADY_INITIALISED' });
  t.strictSame(snapshot(folder), before);
});

t.test("of two inits at once one wins, and the folder is that one's", async (t) => {
  const folder = t.testdir();
  const results = await Promise.allSettled([init(folder), init(folder), init(folder)]);
  const won = results.filter((result) => result.status === 'fulfilled');
  t.equal(won.length, 1);
  t.equal((await readFolder(folder)).identity.peerId, won[0]?.value.peerId);
  t.strictSame(readdirSync(folder).sort(), ['config.json', 'identity.json', 'secret'], 'no temporary file is left');
});

t.test('an init that was cut short is finished with the identity and secret that it had made', async (t) => {
  const folder = t.testdir();
  const first = await init(folder);
  const { config, secret: secretPath } = folderPaths(folder);
  const made = readFileSync(secretPath, 'utf8');
  rmSync(config);
  t.equal((await init(folder)).peerId, first.peerId);
  t.equal(readFileSync(secretPath, 'utf8'), made);
  rmSync(config);
  const { code, message } = await failure(init(folder, { secret }));
  t.equal(code, 'CONFIG_INVALID');
  t.match(message, /left another secret/);
  t.notOk(existsSync(config));
});

t.test('a folder with data and without configuration is not taken for a new one', async (t) => {
  const folder = t.testdir();
  mkdirSync(folderPaths(folder).store);
  t.match(await failure(init(folder)), { code: 'ALREADY_INITIALISED', message: /put the configuration back/ });
  t.strictSame(readdirSync(folder), ['store']);
});

t.test('a given secret is kept; with none there is no file', async (t) => {
  const given = join(t.testdir(), 'given');
  await init(given, { secret });
  t.strictSame((await readFolder(given)).secret, secret);
  const without = join(t.testdirName, 'none');
  await init(without, { secret: 'none' });
  t.equal((await readFolder(without)).secret, undefined);
});

t.test('keys that others can read are pointed out', async (t) => {
  const folder = t.testdir();
  await init(folder);
  const { identity } = folderPaths(folder);
  chmodSync(identity, 0o640);
  const { warnings } = await readFolder(folder);
  t.equal(warnings.length, 1);
  t.match(warnings[0], `chmod 600 ${identity}`);
});

const damages: Record<string, { file: keyof FolderPaths; text?: string; says: RegExp }> = {
  'no folder': { file: 'config', says: /config\.json: is missing: run `pinfold init` first/ },
  'no identity': { file: 'identity', says: /identity\.json: is missing/ },
  'an empty identity': { file: 'identity', text: '', says: /must be a JSON object/ },
  'half an identity': { file: 'identity', text: '{"peerId":"12D3KooHUSH', says: /must be a JSON object/ },
  'null for an identity': { file: 'identity', text: 'null', says: /must be a JSON object/ },
  'a key that is none': {
    file: 'identity',
    text: '{"peerId":"x","privateKey":"SFVTSEhVU0g="}',
    says: /not an Ed25519 key/,
  },
  'a secret that is too short': {
    file: 'secret',
    text: 'abcdef',
    says: /64 hexadecimal digits, and this is 6 of them/,
  },
  'a secret that is no hex': { file: 'secret', text: 'HUSH'.repeat(16), says: /and this is something else/ },
  'a secret of a megabyte': { file: 'secret', text: 'a'.repeat(1 << 20), says: /larger than 4096 bytes/ },
  'a configuration of many megabytes': { file: 'config', text: ' '.repeat(5 << 20), says: /larger than 1048576 bytes/ },
  'a configuration that is not text': { file: 'config', text: '\ufffd', says: /not UTF-8/ },
};
for (const [name, { file, text, says }] of Object.entries(damages)) {
  t.test(`${name} is an error that says so and quotes nothing`, async (t) => {
    const folder = t.testdir();
    await init(folder);
    const path = folderPaths(folder)[file];
    if (text === undefined) rmSync(path);
    else writeFileSync(path, text === '\ufffd' ? Uint8Array.of(0xff, 0xfe, 0x00) : text);
    const { code, message } = await failure(readFolder(folder));
    t.equal(code, 'CONFIG_INVALID');
    t.match(message, says);
    t.notMatch(message, /HUSH|SFVT/);
  });
}

t.test('a folder where a file should be is an error', async (t) => {
  const folder = t.testdir();
  await init(folder);
  const { secret: path } = folderPaths(folder);
  rmSync(path);
  mkdirSync(path);
  t.match(await failure(readFolder(folder)), { code: 'CONFIG_INVALID', message: /is a folder/ });
});

t.test('an identity says who it is, and must not lie', async (t) => {
  const a = await createIdentity(systemRandom);
  const b = await createIdentity(systemRandom);
  const text = encodeIdentity(a);
  t.equal(decodeIdentity('x', text).peerId, a.peerId);
  t.strictSame(decodeIdentity('x', text).privateKey.raw, a.privateKey.raw);
  t.throws(() => decodeIdentity('x', text.replace(a.peerId, b.peerId)), {
    code: 'CONFIG_INVALID',
    message: /not of its peerId/,
  });
});

t.test('the same random bytes make the same identity: the simulator depends on it', async (t) => {
  const random = { bytes: (length: number) => new Uint8Array(length).fill(1), float: () => 0 };
  t.equal((await createIdentity(random)).peerId, (await createIdentity(random)).peerId);
});

t.test('a secret file may end in a line break and use capitals', async (t) => {
  const folder = t.testdir({ secret: `${'0A'.repeat(32)}\r\n` });
  t.strictSame(await readSecretFile(join(folder, 'secret')), new Uint8Array(32).fill(10));
  t.match(await failure(readSecretFile(join(folder, 'none'))), { code: 'CONFIG_INVALID', message: /no such file/ });
});
