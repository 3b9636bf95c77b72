import { createServer } from 'node:net';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import t from 'tap';
import { hex } from '../../../src/model/bytes.ts';
import type { AddressStore } from '../../../src/network/address-book.ts';
import { privateKeyOfSeed } from '../../../src/network/libp2p/identity.ts';
import { mdnsTag, swarmPrologue } from '../../../src/network/libp2p/private-network.ts';
import { codeOf, eventually, forever, startAll } from '../../suites/network.suite.ts';
import { countingMetrics, createNetwork, secret, warnings } from './libp2p-helpers.ts';

const REFUSED = 'pinfold_network_handshakes_refused_total';

for (const [what, otherSecret] of [
  ['another secret', new Uint8Array(32).fill(8)],
  ['no secret', undefined],
] as const) {
  t.test(`a peer with ${what} cannot connect, in either direction, and only our operator hears why`, async (t) => {
    const metrics = countingMetrics();
    const { logger, lines } = warnings();
    const ours = createNetwork(1, { needs: { metrics: metrics.register, logger } });
    const other = createNetwork(2, { init: { secret: otherSecret } });
    await startAll(t, [ours, other]);
    const error = await other.dial(ours.addresses()[0] as string, { signal: forever() }).catch((e: unknown) => e);
    t.match(error, { code: 'PEER_UNREACHABLE' });
    await eventually('it is counted', () => metrics.count(REFUSED, 'inbound') === 1);
    t.match(lines, [/another cluster secret.*inbound.*127\.0\.0\.1/]);
    t.equal(await codeOf(ours.dial(other.addresses()[0] as string, { signal: forever() })), 'PEER_UNREACHABLE');
    t.equal(metrics.count(REFUSED, 'outbound'), 1);
    t.strictSame([ours.connected(), other.connected()], [[], []]);
    t.notOk(lines.some((line) => line.includes(Buffer.from(secret).toString('hex'))));
  });
}

t.test('a storm of refused handshakes is one warning', async (t) => {
  const metrics = countingMetrics();
  const { logger, lines } = warnings();
  const ours = createNetwork(1, { needs: { metrics: metrics.register, logger } });
  const other = createNetwork(2, { init: { secret: undefined } });
  await startAll(t, [ours, other]);
  for (let n = 0; n < 10; n++) await codeOf(other.dial(ours.addresses()[0] as string, { signal: forever() }));
  await eventually('all are counted', () => metrics.count(REFUSED, 'inbound') === 10);
  t.equal(lines.length, 1);
});

t.test('the prologue and the name on the local network follow from the secret and do not show it', async (t) => {
  // HKDF-SHA256 without salt (RFC 5869), computed by two HMACs in Python.
  const prologue = 'e746b9181b03045f1fba83f6e73ffe571c1a0df4a7cfd741279a190e545f965d';
  t.equal(hex(swarmPrologue(secret)), prologue);
  t.notSame(swarmPrologue(secret), swarmPrologue(new Uint8Array(32).fill(8)));
  t.notSame(swarmPrologue(secret), secret);
  t.equal(swarmPrologue(undefined).length, 0);
  t.match(mdnsTag(secret), /^_pinfold-[0-9a-f]{16}\._udp\.local$/);
  t.not(mdnsTag(secret), mdnsTag(new Uint8Array(32).fill(8)));
});

t.test('a key of a seed is the one that libp2p makes of it', async (t) => {
  const seed = Uint8Array.from({ length: 32 }, (_, n) => n);
  const theirs = peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', seed));
  t.equal(peerIdFromPrivateKey(privateKeyOfSeed(seed)).toString(), theirs.toString());
  t.throws(() => privateKeyOfSeed(new Uint8Array(31)), RangeError);
});

t.test('a peer that restarts at its address is connected again, by who knew it and by who remembers it', async (t) => {
  const saved = new Map<string, readonly string[]>();
  const addresses: AddressStore = {
    load: async () => new Map(saved),
    save: async (all) => {
      for (const [peerId, list] of all) saved.set(peerId, list);
    },
  };
  const a = createNetwork(1, { needs: { addresses } });
  const b = createNetwork(2);
  await startAll(t, [a]);
  await b.start();
  const address = b.addresses()[0] as string;
  await a.dial(address, { signal: forever() });
  await b.stop();
  await eventually('it is gone', () => a.connected().length === 0);
  const again = createNetwork(2, { init: { listen: [address.replace(/\/p2p\/.*/, '')] } });
  await startAll(t, [again]);
  await eventually('it is back', () => a.connected().includes(b.peerId));
  await a.stop();
  t.ok(saved.get(b.peerId)?.includes(address), 'its address is kept');
  const later = createNetwork(1, { needs: { addresses } });
  await startAll(t, [later]);
  await eventually('the restarted one finds it', () => later.connected().includes(b.peerId));
});

t.test('a bootstrap peer may come up last, with or without its ID in the address', async (t) => {
  const scout = createNetwork(3);
  await scout.start();
  const address = scout.addresses()[0] as string;
  await scout.stop();
  const listen = address.replace(/\/p2p\/.*/, '');
  const named = createNetwork(1, { init: { bootstrap: [address] } });
  const unnamed = createNetwork(2, { init: { bootstrap: [listen] } });
  await startAll(t, [named, unnamed]);
  const late = createNetwork(3, { init: { listen: [listen], bootstrap: [address] } });
  await startAll(t, [late]);
  await eventually('all are connected', () => late.connected().length === 2);
  t.strictSame(late.connected().sort(), [named.peerId, unnamed.peerId].sort());
});

t.test('an address that is taken is CONFIG_INVALID, and the network can be stopped', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const network = createNetwork(1, { init: { listen: [`/ip4/127.0.0.1/tcp/${port}`] } });
  t.equal(await codeOf(network.start()), 'CONFIG_INVALID');
  await t.resolves(network.stop());
  t.throws(() => createNetwork(1, { init: { bootstrap: ['nowhere'] } }), { code: 'INVALID_ARGUMENT' });
});

t.test('what other peers say of addresses is used only where it leads to them', async (t) => {
  const [a, b, c] = [createNetwork(1), createNetwork(2), createNetwork(3)];
  await startAll(t, [a, b, c]);
  a.remember(b.peerId, ['rubbish', c.addresses()[0] as string]);
  a.remember(a.peerId, a.addresses());
  a.remember(c.peerId, c.addresses());
  await eventually('the good one is connected', () => a.connected().includes(c.peerId));
  t.strictSame(a.connected(), [c.peerId]);
});
