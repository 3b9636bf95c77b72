import { CID } from 'multiformats/cid';
import t, { type Test } from 'tap';
import { parseRpcAddress } from '../../src/ipfs/kubo/address.ts';
import { KuboConnector } from '../../src/ipfs/kubo/kubo-connector.ts';
import { parseContentPath } from '../../src/model/content-path.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { failsWith, keepAlive } from '../suites/connector.suite.ts';
import { shardedTree, unixfsTree } from '../suites/unixfs.ts';
import { KuboNode, type KuboSettings, withoutKubo } from '../support/kubo.ts';
import { kuboProxy, type Meddler } from '../support/kubo-proxy.ts';

const signal = new AbortController().signal;
const needs = { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics };

async function withKubo(t: Test, settings: KuboSettings = {}, meddle: Meddler = () => false) {
  keepAlive(t);
  const kubo = await KuboNode.start(t, settings);
  const connector = new KuboConnector(
    { address: parseRpcAddress(await kuboProxy(t, kubo, meddle)), folder: kubo.folder },
    needs,
  );
  t.teardown(() => connector.stop());
  await connector.start();
  const resolve = (path: string, stallTimeoutMs = 30_000) =>
    connector.resolve(parseContentPath(path), { signal, sources: [], stallTimeoutMs });
  /** `/ipfs/CID`, or the same with what lies inside that block. */
  const resolved = async (path: string) => {
    const { cid, rest } = await resolve(path);
    return ['/ipfs', CID.decode(cid).toString(), ...rest].join('/');
  };
  return { kubo, connector, resolve, resolved };
}

t.test('paths lead where Kubo says they do', { skip: withoutKubo, timeout: 60_000 }, async (t) => {
  const { kubo, connector, resolve, resolved } = await withKubo(t);
  const tree = await unixfsTree({ 'docs/ünï %41 x/b': 'b', 'docs/readme.md': 'hello' });
  const sharded = await shardedTree();
  for (const { blocks } of [tree, sharded]) await connector.putBlocks(blocks, { signal });
  const { root } = tree;
  const cbor = await kubo.put({ a: { to: { '/': `${root.link}` }, n: 5, list: [1, { '/': `${sharded.root.link}` }] } });
  const json = await kubo.put({ deep: { to: { '/': cbor } } }, 'dag-json');
  const paths = [
    `/ipfs/${root.link}`,
    `/ipfs/${root.link}/docs`,
    `/ipfs/${root.link}/docs/ünï %41 x/b`,
    `/ipfs/${cbor}/a`,
    `/ipfs/${cbor}/a/n`,
    `/ipfs/${cbor}/a/to/docs/readme.md`,
    `/ipfs/${json}/deep/to/a/list/1`,
    `/ipfs/${json}/deep/to/a/list/0`,
    ...Array.from({ length: 40 }, (_, at) => `/ipfs/${json}/deep/to/a/list/1/file ${at * 31} ü.txt`),
  ];
  for (const path of paths) t.equal(await resolved(path), await kubo.ipfs('resolve', path), path);
  const absent = [
    `/ipfs/${root.link}/docs/none`,
    `/ipfs/${root.link}/docs/readme.md/x`,
    `/ipfs/${sharded.root.link}/none`,
    `/ipfs/${cbor}/a/n/x`,
    `/ipfs/${cbor}/a/list/2`,
    `/ipfs/${cbor}/a/list/length`,
  ];
  for (const path of absent) {
    await failsWith(t, resolve(path), 'NO_LINK');
    await t.rejects(kubo.ipfs('resolve', path), path);
  }
});

t.test('names are resolved by Kubo', { skip: withoutKubo, timeout: 60_000 }, async (t) => {
  const { kubo, connector, resolve, resolved } = await withKubo(t, { offline: true });
  const tree = await unixfsTree({ 'docs/a/readme.md': 'named' });
  await connector.putBlocks(tree.blocks, { signal });
  const { peerId } = await connector.id({ signal });
  await kubo.ipfs('name', 'publish', '--allow-offline', `/ipfs/${tree.root.link}/docs`);
  t.equal(await resolved(`/ipns/${peerId}`), `/ipfs/${tree.at('docs')}`);
  t.equal(await resolved(`ipns://${peerId}/a/readme.md`), `/ipfs/${tree.at('docs/a/readme.md')}`);
  const failure = await failsWith(t, resolve(`/ipns/${peerId}/b`), 'NO_LINK');
  t.equal(failure.message, `there is no "b" in ${tree.at('docs')}`);
  const key = await kubo.ipfs('key', 'gen', 'nothing-published');
  t.match((await failsWith(t, resolve(`/ipns/${key}`), 'FAILED')).message, /could not resolve name/);
});

t.test(
  'a name that is not answered in time, or not as a name is',
  { skip: withoutKubo, timeout: 60_000 },
  async (t) => {
    const answers: Record<string, string | undefined> = {
      'again.example': '{"Path":"/ipns/other.example"}',
      'nonsense.example': '{"Path":"/ipfs/nonsense"}',
      'empty.example': '{}',
    };
    const { resolve } = await withKubo(t, {}, (command, query, response) => {
      if (command !== 'name/resolve') return false;
      const answer = answers[query.get('arg')?.replace('/ipns/', '') ?? ''];
      if (answer !== undefined) response.end(answer);
      return true;
    });
    for (const name of Object.keys(answers)) await failsWith(t, resolve(`/ipns/${name}/a`), 'FAILED');
    const failure = await failsWith(t, resolve('/ipns/silent.example', 300), 'NO_PROVIDER');
    t.match(failure.message, 'within 300 ms where /ipns/silent.example leads');
  },
);

t.test('a block on the way that is another one', { skip: withoutKubo, timeout: 60_000 }, async (t) => {
  const tree = await unixfsTree({ 'a/b': 'right' });
  const { connector, resolve } = await withKubo(t, {}, (command, _query, response) => {
    if (command !== 'block/get') return false;
    response.end('wrong');
    return true;
  });
  await connector.putBlocks(tree.blocks, { signal });
  const failure = await failsWith(t, resolve(`/ipfs/${tree.root.link}/a/b`), 'FAILED');
  t.match(failure.message, `another block than ${tree.root.link}`);
});

t.test('a node that asks nobody has what it has', { skip: withoutKubo, timeout: 60_000 }, async (t) => {
  const { connector, resolve } = await withKubo(t, { offline: true });
  const tree = await unixfsTree({ 'a/b': 'half' });
  await connector.putBlocks([tree.root], { signal });
  await failsWith(t, resolve(`/ipfs/${tree.root.link}/a/b`), 'NO_PROVIDER');
});
