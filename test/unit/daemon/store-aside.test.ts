import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { folderPaths } from '../../../src/config/folder.ts';
import { markStoreLeft, setStoreAside } from '../../../src/daemon/store-aside.ts';

// A store that is left is moved once, wherever a start is killed.

async function left(t: { testdir(): string }) {
  const folder = t.testdir();
  const paths = folderPaths(folder);
  mkdirSync(paths.store);
  writeFileSync(join(paths.store, 'data.mdb'), 'pins');
  const aside = await markStoreLeft(paths, Date.UTC(2026, 0, 2, 3, 4, 5));
  return { folder, paths, aside };
}

const stores = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('store'));

t.test('without the file nothing is moved', async (t) => {
  const paths = folderPaths(t.testdir({ store: { 'data.mdb': 'pins' } }));
  t.equal(await setStoreAside(paths), undefined);
  t.ok(existsSync(join(paths.store, 'data.mdb')));
});

t.test('the next start moves it, and the one after that does not', async (t) => {
  const { folder, paths, aside } = await left(t);
  t.equal(aside, join(folder, 'store.20260102T030405Z'));
  t.ok(existsSync(join(paths.store, 'data.mdb')), 'the file alone moves nothing');
  t.equal(await setStoreAside(paths), aside);
  t.same(stores(folder), ['store.20260102T030405Z']);
  mkdirSync(paths.store);
  t.equal(await setStoreAside(paths), undefined);
  t.same(stores(folder).sort(), ['store', 'store.20260102T030405Z']);
});

t.test('killed after it was moved', async (t) => {
  const { folder, paths, aside } = await left(t);
  renameSync(paths.store, aside);
  t.equal(await setStoreAside(paths), aside);
  t.notOk(existsSync(paths.leftStore));
  t.same(stores(folder), ['store.20260102T030405Z']);
});

t.test('there is no store to be moved', async (t) => {
  const paths = folderPaths(t.testdir());
  const aside = await markStoreLeft(paths, 0);
  t.equal(await setStoreAside(paths), aside);
  mkdirSync(paths.store);
  t.equal(await setStoreAside(paths), undefined);
  t.ok(existsSync(paths.store));
});

t.test('a file that says something else is an error, and nothing is moved', async (t) => {
  for (const text of ['', '{}', '{"moveTo":"../elsewhere"}', '{"moveTo":"store"}']) {
    const paths = folderPaths(t.testdir({ store: { 'data.mdb': 'pins' }, 'rejoin.json': text }));
    await t.rejects(setStoreAside(paths), { code: 'CONFIG_INVALID' }, text);
    t.ok(existsSync(join(paths.store, 'data.mdb')));
  }
});
