import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { identity } from 'multiformats/hashes/identity';
import type { Test } from 'tap';
import type { Connector, ResolveOptions } from '../../src/ipfs/connector.ts';
import { formatCid } from '../../src/model/cid.ts';
import { parseContentPath } from '../../src/model/content-path.ts';
import { type ConnectorTraits, failsWith, keepAlive, type NodeMaker } from './connector.suite.ts';
import { block, DAG_CBOR, DAG_JSON, DAG_PB, leaf, pbNode, RAW, type TestBlock, version0 } from './dags.ts';
import { shardedTree, unixfsTree } from './unixfs.ts';

const forever = new AbortController().signal;
/** Where it is to succeed: a slow machine must not be taken for a stall. */
const PATIENCE_MS = 30_000;
/** Where it is to give up. */
const STALL_MS = 400;

/** The second part of `connectorSuite`: where paths lead, at every connector. */
export function connectorPathsSuite(t: Test, makeNode: NodeMaker, traits: ConnectorTraits = {}): void {
  const { skip = false, resolvesNames = false, stallMs = STALL_MS } = traits;
  const test = (name: string, fn: (t: Test) => Promise<void>) => {
    t.test(name, { timeout: 20_000, skip }, (t) => {
      keepAlive(t);
      return fn(t);
    });
  };

  test('a path leads through directories, and through maps and lists', async (t) => {
    const { connector } = await makeNode(t);
    const tree = await unixfsTree({ 'docs/readme.md': 'hello', 'docs/ünï %41 x/b': 'b', 'docs/..x': 'x' });
    const one = leaf('one');
    const cbor = valueBlock({ map: { list: [1, one.link, tree.root.link], '': 2, n: null }, bytes: new Uint8Array(2) });
    const json = jsonBlock({ deep: [{ to: { '/': cbor.link.toString() } }], n: 5 });
    await connector.putBlocks([...tree.blocks, one, cbor, json], { signal: forever });
    const leads = async (from: TestBlock, path: string, to: CID, rest: string[] = []) => {
      const resolved = await resolve(connector, from, path);
      t.same([CID.decode(resolved.cid).toString(), resolved.rest], [to.toString(), rest], path);
    };
    await leads(tree.root, '', tree.root.link);
    for (const path of ['docs', 'docs/readme.md', 'docs/ünï %41 x/b', 'docs/..x']) {
      await leads(tree.root, path, tree.at(path));
    }
    await leads(cbor, 'map/list/1', one.link);
    await leads(cbor, 'map/list/2/docs/readme.md', tree.at('docs/readme.md'));
    await leads(json, 'deep/0/to/map/list/2/docs', tree.at('docs'));
    await leads(json, 'deep/0/to', cbor.link);
    await leads(json, 'deep/0', json.link, ['deep', '0']);
    await leads(json, 'deep/0/to/map/n', cbor.link, ['map', 'n']);
    await leads(cbor, 'bytes', cbor.link, ['bytes']);
  });

  test('a path leads through a sharded directory to each of its 1,500 names', async (t) => {
    const { connector } = await makeNode(t);
    const tree = await shardedTree();
    await connector.putBlocks(tree.blocks, { signal: forever });
    for (let at = 0; at < 1_500; at += 37) {
      const name = `file ${at} ü.txt`;
      const { cid } = await resolve(connector, tree.root, name);
      t.equal(CID.decode(cid).toString(), tree.at(name).toString(), name);
    }
    const failure = await failsWith(t, resolve(connector, tree.root, 'file 1500 ü.txt/x'), 'NO_LINK');
    t.match(failure.message, `there is no "file 1500 ü.txt" in ${tree.root.link}`);
  });

  test('what a path names and is not there is named, and where it was looked for', async (t) => {
    const { connector } = await makeNode(t);
    const tree = await unixfsTree({ 'a/file': 'text' });
    const cbor = valueBlock({ list: [1], n: 5, to: tree.root.link });
    await connector.putBlocks([...tree.blocks, cbor], { signal: forever });
    const fails = async (from: TestBlock, path: string, segment: string, where: CID) => {
      const failure = await failsWith(t, resolve(connector, from, path), 'NO_LINK');
      t.equal(failure.message, `there is no "${segment}" in ${where}`);
    };
    await fails(tree.root, 'a/none', 'none', tree.at('a'));
    await fails(tree.root, 'a/none/deeper', 'none', tree.at('a'));
    await fails(tree.root, 'a/file/x', 'x', tree.at('a/file'));
    await fails(cbor, 'list/1', '1', cbor.link);
    await fails(cbor, 'list/length', 'length', cbor.link);
    await fails(cbor, 'n/x', 'x', cbor.link);
    await fails(cbor, '__proto__', '__proto__', cbor.link);
    await fails(cbor, 'to/b', 'b', tree.root.link);
  });

  test('a path from a CID that has its content in it, and in version 0', async (t) => {
    const { connector } = await makeNode(t);
    const inline = CID.createV1(DAG_CBOR, identity.digest(dagCbor.encode({ a: leaf('a').link, b: 1 })));
    const from = { cid: inline.bytes };
    t.same((await resolve(connector, from, 'a')).cid, leaf('a').cid);
    t.same(await resolve(connector, from, 'b'), { cid: inline.bytes, rest: ['b'] });
    const raw = CID.createV1(RAW, identity.digest(new Uint8Array(3)));
    t.same(await resolve(connector, { cid: raw.bytes }, ''), { cid: raw.bytes, rest: [] });
    await failsWith(t, resolve(connector, { cid: raw.bytes }, 'a'), 'NO_LINK');
    const directory = pbNode([leaf('a')]);
    await connector.putBlocks([directory], { signal: forever });
    const old = { cid: version0(directory) };
    t.same((await resolve(connector, old, '')).cid, old.cid, 'as it was said');
    t.same((await resolve(connector, old, '000000')).cid, leaf('a').cid);
  });

  test('a path fetches the blocks on its way, and no others', async (t) => {
    const [from, to] = [await makeNode(t), await makeNode(t)];
    const tree = await unixfsTree({ 'a/b/c/file': 'far away', 'a/beside': 'the way' });
    await from.connector.putBlocks(tree.blocks, { signal: forever });
    const { addresses: sources } = await from.connector.id({ signal: forever });
    const { cid } = await resolve(to.connector, tree.root, 'a/b/c/file', { sources });
    t.equal(CID.decode(cid).toString(), tree.at('a/b/c/file').toString());
    const isHere = async (path: string) =>
      (await to.connector.getBlock(tree.at(path).bytes, { signal: forever })) !== undefined;
    for (const path of ['', 'a', 'a/b', 'a/b/c']) t.ok(await isHere(path), `${path} is here`);
    for (const path of ['a/b/c/file', 'a/beside']) t.notOk(await isHere(path), `${path} is not`);
    for await (const record of to.connector.list({ signal: forever })) t.fail(`a record of ${formatCid(record.cid)}`);
  });

  test('a block on the way that nobody has: NO_PROVIDER, and it is named', async (t) => {
    const { connector } = await makeNode(t);
    const tree = await unixfsTree({ 'a/b/file': 'nowhere' });
    await connector.putBlocks([tree.root], { signal: forever });
    const failure = await failsWith(
      t,
      resolve(connector, tree.root, 'a/b/file', { stallTimeoutMs: stallMs }),
      'NO_PROVIDER',
    );
    t.match(failure.message, tree.at('a').toString());
    t.match(failure.message, `${stallMs} ms`);
  });

  test('an abort and a stop end a resolution', async (t) => {
    const { connector } = await makeNode(t);
    const tree = await unixfsTree({ 'a/b/file': 'nowhere at all' });
    const controller = new AbortController();
    const reason = new Error('changed my mind');
    const aborted = resolve(connector, tree.root, 'a', { signal: controller.signal });
    controller.abort(reason);
    await t.rejects(aborted, reason);
    const stopped = failsWith(t, resolve(connector, tree.root, 'a'), 'UNREACHABLE');
    await connector.stop();
    await stopped;
  });

  test('a block on the way that comes later is taken', async (t) => {
    const { connector } = await makeNode(t);
    const tree = await unixfsTree({ 'a/file': 'late' });
    const resolved = resolve(connector, tree.root, 'a/file');
    await connector.putBlocks(tree.blocks, { signal: forever });
    t.equal(CID.decode((await resolved).cid).toString(), tree.at('a/file').toString());
  });

  test('a path through what cannot be decoded', async (t) => {
    const { connector } = await makeNode(t);
    const broken = block(DAG_PB, new TextEncoder().encode('not protobuf'));
    const unknown = block(0x93 /* eth-tx */, new Uint8Array(4));
    await connector.putBlocks([broken, unknown], { signal: forever });
    for (const one of [broken, unknown]) await failsWith(t, resolve(connector, one, 'a'), 'INVALID_DAG');
    const strange = Uint8Array.of(1, 0x71, 0x99, 1, 1, 0);
    await failsWith(t, resolve(connector, { cid: strange }, ''), 'INVALID_DAG');
    await failsWith(t, resolve(connector, { cid: strange }, 'a'), 'INVALID_DAG');
    const above = valueBlock({ to: CID.decode(strange) });
    await connector.putBlocks([above], { signal: forever });
    t.same((await resolve(connector, above, 'to')).cid, strange, 'what is at the end is not looked at');
    await failsWith(t, resolve(connector, above, 'to/a'), 'INVALID_DAG');
  });

  if (resolvesNames) return;
  test('a node without names says so', async (t) => {
    const { connector } = await makeNode(t);
    const path = parseContentPath('/ipns/docs.example.org/a');
    const options = { signal: forever, sources: [], stallTimeoutMs: PATIENCE_MS };
    const failure = await failsWith(t, connector.resolve(path, options), 'NO_NAMES');
    t.match(failure.message, 'resolves no /ipns names');
  });
}

function resolve(
  connector: Connector,
  { cid }: { cid: Uint8Array },
  path: string,
  options: Partial<ResolveOptions> = {},
) {
  const segments = path === '' ? [] : path.split('/');
  return connector.resolve(
    { kind: 'ipfs', root: cid, segments },
    { signal: forever, sources: [], stallTimeoutMs: PATIENCE_MS, ...options },
  );
}

function valueBlock(value: unknown): TestBlock {
  return block(DAG_CBOR, dagCbor.encode(value));
}

function jsonBlock(value: unknown): TestBlock {
  return block(DAG_JSON, new TextEncoder().encode(JSON.stringify(value)));
}
