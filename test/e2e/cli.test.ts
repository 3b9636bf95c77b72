import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { tryPinfold } from '../../scripts/local-cluster.ts';

// Some thirty processes.
t.setTimeout(240_000);

const nobody = ['--host', '127.0.0.1:1'];

t.test('init: a folder for its owner alone, once', async (t) => {
  const folder = join(t.testdir(), 'peer');
  const made = await tryPinfold([
    'init',
    '--folder',
    folder,
    '--name',
    'one',
    '--cluster-replication-min',
    '2',
    '--cluster-replication-max',
    '3',
  ]);
  t.match(made, { code: 0, stdout: /^initialised .*\npeer 12D3KooW/ });
  const modeOf = (name: string) => (statSync(join(folder, name)).mode & 0o777).toString(8);
  t.equal(modeOf('.'), '700');
  t.equal(modeOf('secret'), '600');
  t.equal(modeOf('identity.json'), '600');
  const files = () =>
    ['config.json', 'secret', 'identity.json'].map((name) => readFileSync(join(folder, name), 'utf8'));
  const before = files();
  t.match(JSON.parse(before[0] ?? ''), { cluster: { peerName: 'one', replicationMin: 2, replicationMax: 3 } });
  const again = await tryPinfold(['init', '--folder', folder, '--output', 'json']);
  t.equal(again.code, 1);
  t.match(JSON.parse(again.stderr), { error: 'ALREADY_INITIALISED' });
  t.strictSame(files(), before, 'nothing was changed');

  t.match(await tryPinfold(['config', 'check', '--folder', folder]), {
    code: 0,
    stdout: 'the configuration is valid\n',
  });
  const shown = await tryPinfold(['config', 'show', '--folder', folder]);
  t.equal(JSON.parse(shown.stdout).cluster.peerName, 'one');
  t.notOk(shown.stdout.includes(before[1]?.trim() ?? '-'), 'without the secret');
  const schema = await tryPinfold(['config', 'schema', '--folder', folder]);
  t.ok(JSON.parse(schema.stdout).properties.cluster);
  writeFileSync(join(folder, 'config.json'), '{"clustre":{},"api":{"grpcListen":5}}');
  const wrong = await tryPinfold(['config', 'check', '--folder', folder]);
  t.equal(wrong.code, 1);
  t.match(wrong.stderr, /clustre.*cluster/s);
  t.match(wrong.stderr, /grpcListen/, 'all problems at once');
});

t.test('init: the secret of a cluster to join', async (t) => {
  const root = t.testdir();
  await tryPinfold(['init', '--folder', join(root, 'a')]);
  const secret = readFileSync(join(root, 'a/secret'), 'utf8');
  const joined = await tryPinfold([
    'init',
    '--folder',
    join(root, 'b'),
    '--secret-file',
    join(root, 'a/secret'),
    '--output',
    'json',
  ]);
  t.match(JSON.parse(joined.stdout), { folder: join(root, 'b'), peerId: /^12D3KooW/ });
  t.equal(readFileSync(join(root, 'b/secret'), 'utf8'), secret);
  process.env.PINFOLD_SECRET = secret.trim();
  t.equal((await tryPinfold(['init', '--folder', join(root, 'c')])).code, 0);
  t.equal(readFileSync(join(root, 'c/secret'), 'utf8'), secret);
  process.env.PINFOLD_SECRET = 'not a secret';
  const bad = await tryPinfold(['init', '--folder', join(root, 'd')]);
  t.match(bad, { code: 1, stderr: /PINFOLD_SECRET.*CONFIG_INVALID/s });
  t.throws(() => statSync(join(root, 'd')), 'nothing was made');
  delete process.env.PINFOLD_SECRET;
  const none = await tryPinfold(['init', '--folder', join(root, 'e'), '--secret-file', join(root, 'missing')]);
  t.match(none, { code: 1, stderr: /there is no such file/ });
});

t.test('init: raft is refused, with advice', async (t) => {
  const refused = await tryPinfold(['init', '--folder', join(t.testdir(), 'x'), '--consensus', 'raft']);
  t.match(refused, { code: 1, stderr: /--consensus crdt.*UNIMPLEMENTED/s });
});

t.test('wrong usage is exit code 2, with advice', async (t) => {
  t.match(await tryPinfold(['pni']), { code: 2, stderr: /unknown command 'pni'(.|\n)*pin/ });
  t.match(await tryPinfold(['pin', 'ad']), { code: 2, stderr: /Did you mean add/ });
  t.match(await tryPinfold(['version', '--quite']), { code: 2, stderr: /Did you mean --quiet/ });
  t.match(await tryPinfold(['version', '--output', 'yaml']), { code: 2, stderr: /text or json/ });
  t.match(await tryPinfold(['pin', 'get']), { code: 2, stderr: /missing required argument/ });
  t.match(await tryPinfold(['status', '--limit', 'x', ...nobody]), { code: 2, stderr: /--limit/ });
  const json = await tryPinfold(['pni', '--output', 'json']);
  t.equal(json.code, 2);
  t.match(JSON.parse(json.stderr), { error: 'USAGE', message: /unknown command/ });
});

t.test('a daemon that is not there is exit code 1, and says how to start one', async (t) => {
  for (const args of [['id'], ['pin', 'ls'], ['health'], ['status'], ['pin', 'rm', 'x']]) {
    t.match(
      await tryPinfold([...args, ...nobody]),
      { code: 1, stderr: /127\.0\.0\.1:1.*pinfold daemon.*UNREACHABLE/s },
      args.join(' '),
    );
  }
  const json = await tryPinfold(['pin', 'get', 'x', ...nobody, '--output', 'json']);
  t.match(JSON.parse(json.stderr), { error: 'UNREACHABLE' });
  t.equal(json.stdout, '');
});

t.test('version, help, completion', async (t) => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  t.match(await tryPinfold(['version']), { code: 0, stdout: `pinfold ${version}\n` });
  t.match(JSON.parse((await tryPinfold(['version', '--output', 'json'])).stdout), { version });
  t.match(await tryPinfold(['--help']), { code: 0, stdout: /Usage: pinfold/ });
  t.match(await tryPinfold(['pin', 'add', '--help']), { code: 0, stdout: /--replication/ });
  t.match(await tryPinfold(['completion', 'bash']), { code: 0, stdout: /complete -o filenames/ });
  t.match(await tryPinfold(['completion', 'cmd']), { code: 2, stderr: /bash, zsh and fish/ });
});
