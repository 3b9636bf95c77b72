import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import t from 'tap';
import { folderPaths, readConfigText } from '../../../src/config/folder.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { initPeer } from '../../../src/daemon/init-peer.ts';
import { loadPeer } from '../../../src/daemon/load-peer.ts';
import { ipfsWarnings, loadPeerConfig, parseListenAddress, peerOptions } from '../../../src/daemon/options.ts';
import { systemRandom } from '../../../src/runtime/random.ts';

const withFlags = (flags: Record<string, string | true>) => loadPeerConfig({ flags }).config;
const needs = { random: systemRandom };

t.test('the defaults are a valid configuration', async (t) => {
  const { config } = loadPeerConfig({});
  t.equal(config.consensus.kind, 'crdt');
  t.equal(config.ipfs.network, 'private');
});

t.test('every option follows the rules of naming', async (t) => {
  for (const { path, key, option } of peerOptions.entries) {
    if (option.unit === 'milliseconds') t.match(key, /Ms$/, path);
    if (option.unit === 'bytes') t.match(key, /Bytes(Max)?$/, path);
    t.match(option.says, /^.*[^.]$/, `${path} says what it is`);
  }
});

t.test('PINFOLD_IPFS_NETWORK and its like override the file', async (t) => {
  const file = { name: 'config.json', text: '{"ipfs":{"network":"private"}}' };
  t.equal(loadPeerConfig({ file, variables: { PINFOLD_IPFS_NETWORK: 'public' } }).config.ipfs.network, 'public');
  t.strictSame(
    loadPeerConfig({ variables: { PINFOLD_SECRET: 'x', PINFOLD_PATH: 'y', PINFOLD_HOST: 'z' } }).warnings,
    [],
  );
});

t.test('raft is refused as not yet there, with advice', async (t) => {
  t.throws(() => withFlags({ 'consensus-kind': 'raft' }), { code: 'UNIMPLEMENTED', message: /--consensus crdt/ });
  const folder = join(t.testdir(), 'peer');
  await t.rejects(initPeer({ folder, flags: { 'consensus-kind': 'raft' }, secret: undefined }, needs), {
    code: 'UNIMPLEMENTED',
  });
  await t.rejects(readConfigText(folder), { code: 'CONFIG_INVALID' }, 'and nothing was written');
});

t.test('a door beyond loopback needs --insecure-no-auth', async (t) => {
  for (const address of ['0.0.0.0:1', '[::]:1', '192.168.1.2:1', 'example.org:1', '1270.0.0.1:1', '127.evil.org:1']) {
    t.throws(
      () => withFlags({ 'api-grpc-listen': address }),
      { code: 'CONFIG_INVALID', message: /not loopback/ },
      address,
    );
    t.equal(withFlags({ 'api-grpc-listen': address, 'insecure-no-auth': true }).api.grpcListen, address);
  }
  for (const address of ['127.0.0.1:0', '127.3.4.5:1', '[::1]:1', 'localhost:1']) {
    t.equal(withFlags({ 'api-http-listen': address }).api.httpListen, address);
  }
  t.throws(() => withFlags({ 'api-http-listen': '127.0.0.1:70000' }), { message: /there is no port 70000/ });
  t.throws(() => withFlags({ 'api-http-listen': '127.0.0.1' }), { message: /must be host:port/ });
});

t.test('addresses are taken apart', async (t) => {
  t.strictSame(parseListenAddress('127.0.0.1:80'), { host: '127.0.0.1', port: 80 });
  t.strictSame(parseListenAddress('[::1]:0'), { host: '::1', port: 0 });
});

t.test('replication factors fit each other', async (t) => {
  const factors = (min: string, max: string) => () =>
    withFlags({ 'cluster-replication-min': min, 'cluster-replication-max': max });
  t.throws(factors('3', '2'), { message: /must not exceed replicationMax \(2\)/ });
  t.throws(factors('-1', '2'), { message: /exactly when/ });
  t.throws(factors('0', '2'), { message: /at least 1/ });
  t.match(factors('2', '3')().cluster, { replicationMin: 2, replicationMax: 3 });
});

t.test('Kubo: the address, the credentials and the files of TLS fit', async (t) => {
  const kubo = (flags: Record<string, string>) => () => withFlags({ 'ipfs-kind': 'kubo', ...flags });
  t.throws(kubo({ 'ipfs-api': 'kubo:5001' }), { message: /ipfs.api/ });
  t.throws(kubo({ 'ipfs-api': 'http://me:hidden@kubo' }), { message: /credentials do not belong/ });
  t.throws(kubo({ 'ipfs-api-tls-cert': 'a.pem', 'ipfs-api': 'https://kubo' }), { message: /go together/ });
  t.throws(kubo({ 'ipfs-api-tls-ca': 'a.pem' }), { message: /not of TLS/ });
  t.throws(kubo({ 'ipfs-api-auth': 'hidden' }), { message: /^(?!.*hidden).*basic:USER:PASSWORD/s });
  const warned = (api: string) => ipfsWarnings(kubo({ 'ipfs-api': api, 'ipfs-api-auth': 'bearer:hidden' })());
  t.match(warned('http://kubo:5001'), [/without TLS/]);
  t.notMatch(warned('http://kubo:5001')[0], 'hidden');
  for (const api of ['https://kubo', '/ip4/127.0.0.1/tcp/5001', '/unix/run/api.sock']) t.strictSame(warned(api), []);
});

t.test('the published schema takes the file that init writes, and refuses others', async (t) => {
  const folder = t.testdir();
  await initPeer({ folder, flags: { 'cluster-peer-name': 'one', 'cluster-name': 'c' }, secret: undefined }, needs);
  const isValid = new Ajv({ keywords: ['x-form'] }).compile(configSchema(peerOptions));
  t.ok(isValid(JSON.parse(await readConfigText(folder))));
  t.notOk(isValid({ ipfs: { network: 'x' } }));
  t.notOk(isValid({ x: {} }));
});

t.test('init and load make a peer; random ports differ', async (t) => {
  const folder = t.testdir();
  const identity = await initPeer({ folder, flags: {}, secret: undefined, randomPorts: true }, needs);
  const peer = await loadPeer({ folder, variables: {}, flags: { bootstrap: '/ip4/127.0.0.1/tcp/1' } });
  t.equal(peer.identity.peerId, identity.peerId);
  t.equal(peer.secret?.length, 32);
  t.strictSame(peer.config.network.bootstrap, ['/ip4/127.0.0.1/tcp/1']);
  const { api, network, ipfs } = peer.config;
  const addresses = [api.grpcListen, api.httpListen, api.metricsListen, network.listen[0], ipfs.listen[0]];
  const ports = addresses.map((address) => Number(/\d+$/.exec(address ?? '')?.[0]));
  t.equal(new Set(ports).size, 5);
  t.ok(ports.every((port) => port > 1024 && port < 65_536));
});

t.test('a peer without secret starts only when told', async (t) => {
  const folder = t.testdir();
  await initPeer({ folder, flags: {}, secret: undefined }, needs);
  rmSync(folderPaths(folder).secret);
  await t.rejects(loadPeer({ folder, variables: {}, flags: {} }), {
    code: 'CONFIG_INVALID',
    message: /--insecure-no-secret/,
  });
  const { secret } = await loadPeer({ folder, variables: {}, flags: { 'insecure-no-secret': true } });
  t.equal(secret, undefined);
});

t.test('metrics of the allocator are known ones, in the order in which each has a meaning', async (t) => {
  const by = (allocateBy: string) => withFlags({ 'allocator-allocate-by': allocateBy }).allocator.allocateBy;
  t.same(by('tag:zone,latency,numpin'), ['tag:zone', 'latency', 'numpin']);
  t.throws(() => by('freespace,tag:zone'), { code: 'CONFIG_INVALID', message: /tags come first/ });
  t.throws(() => by('freespeace'), { code: 'CONFIG_INVALID', message: /allocator\.allocateBy/ });
});
