import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { localPeer } from '../../scripts/local-cluster.ts';
import { missingPython, pythonEnvironment } from './python-environment.ts';

const client = fileURLToPath(new URL('./python/client.py', import.meta.url));
const cid = 'bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4';
const missing = missingPython();

t.test(
  'a Python client made from proto/ pins, lists, watches, and gets a typed error',
  {
    skip: missing ?? false,
  },
  async (t) => {
    const { python, stubs } = pythonEnvironment();
    const root = await mkdtemp(join(tmpdir(), 'pinfold-python-'));
    const secretFile = join(root, 'secret.txt');
    await writeFile(secretFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    const peer = await localPeer({ root, name: 'peer', secretFile });
    t.teardown(async () => {
      await peer.kill('SIGTERM');
      await rm(root, { recursive: true, force: true });
    });
    await peer.start();

    const { status, stdout, stderr } = spawnSync(python, [client, peer.host, cid], {
      encoding: 'utf8',
      env: { ...process.env, PYTHONPATH: stubs },
    });
    t.equal(status, 0, stderr);
    const got = JSON.parse(stdout);
    t.same(got.pinned, { cid, name: 'from python', level: 'KIND_DURABLE', same_etag_on_retry: true });
    t.same(got.listed, [cid]);
    t.ok(got.watched.includes('pinned'), 'the watch began with what there is');
    t.same(got.error, { code: 'INVALID_ARGUMENT', reason: 'INVALID_CID', domain: 'pinfold', field: 'cid' });
  },
);
