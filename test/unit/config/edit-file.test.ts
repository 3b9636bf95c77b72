import { chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { setOption } from '../../../src/config/edit-file.ts';

function fileWith(t: { testdir(): string }, text: string): string {
  const path = join(t.testdir(), 'config.json');
  writeFileSync(path, text);
  return path;
}

t.test('one option is set, all else stays as it is, also who may read the file', async (t) => {
  const path = fileWith(t, '{"$schema":"s","crdt":{"followPeersMax":1},"log":{"level":"warn"}}');
  chmodSync(path, 0o640);
  await setOption(path, 'crdt', 'trustedPeers', ['x']);
  await setOption(path, 'cluster', 'name', 'new');
  t.strictSame(JSON.parse(readFileSync(path, 'utf8')), {
    $schema: 's',
    crdt: { followPeersMax: 1, trustedPeers: ['x'] },
    log: { level: 'warn' },
    cluster: { name: 'new' },
  });
  t.equal(statSync(path).mode & 0o777, 0o640);
});

t.test('a file that is a link stays one', async (t) => {
  const path = fileWith(t, '{}');
  const linked = join(t.testdirName, 'linked.json');
  symlinkSync(path, linked);
  await setOption(linked, 'crdt', 'trustedPeers', []);
  t.strictSame(JSON.parse(readFileSync(path, 'utf8')), { crdt: { trustedPeers: [] } });
  t.ok(statSync(linked).isFile());
});

t.test('what cannot be read or written is told, and nothing changes', async (t) => {
  const path = fileWith(t, '{"half":');
  await t.rejects(setOption(path, 'crdt', 'trustedPeers', []), { code: 'CONFIG_INVALID', message: /not valid JSON/ });
  t.equal(readFileSync(path, 'utf8'), '{"half":');
  await t.rejects(setOption(join(path, 'no'), 'a', 'b', 1), { code: 'CONFIG_INVALID', message: /cannot be written/ });
});
