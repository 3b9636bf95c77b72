import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { PinRequestSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { pinWrites } from '../../../src/api/services/pin-writes.ts';
import { RESOLVE_STALL_MS, RESOLVES_MAX } from '../../../src/cluster/constants.ts';
import { resolving } from '../../../src/cluster/resolving.ts';
import { type Connector, ConnectorError, type ConnectorErrorKind } from '../../../src/ipfs/connector.ts';
import { equalBytes } from '../../../src/model/bytes.ts';
import { formatCid } from '../../../src/model/cid.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import type { StoredPin } from '../../../src/pinset/pinset.ts';
import { anyone, apiPeer } from '../../support/api-peer.ts';
import { testCid } from '../../support/crdt-peers.ts';

const [root, end] = [testCid(1), testCid(2)];
const path = `/ipfs/${formatCid(root)}/a/b`;
const origin = '/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf';

/** `claims`: pins of the root. */
const leadsTo = (resolve: Connector['resolve'], claims: () => StoredPin[] = () => []) =>
  resolving({
    connector: { resolve },
    pinset: { claims: (cid) => (equalBytes(cid, root) ? claims() : []) },
    addresses(peerIds) {
      const others = peerIds.length === 0 ? ['x'] : peerIds.filter((peerId) => peerId !== 'here');
      return others.map((peerId) => `/memory/${peerId}/p2p/${peerId}`);
    },
  });

t.test('a path is asked of the node, with the nodes of the cluster and the origins as sources', async (t) => {
  const call = anyone();
  const here = leadsTo(async (asked, { sources, stallTimeoutMs, signal }) => {
    t.same(asked, { kind: 'ipfs', root, segments: ['a', 'b'] });
    t.same(sources, [origin, '/memory/x/p2p/x']);
    t.equal(stallTimeoutMs, RESOLVE_STALL_MS);
    t.equal(signal, call.signal);
    return { cid: end, rest: [] };
  });
  t.same(await here.resolve({ path, origins: [origin] }, call), { cid: end, rest: [] });
  t.same(await here.block({ path, origins: [origin] }, call), end);
});

t.test('where the beginning of a path is pinned, its blocks are asked for', async (t) => {
  const pin = (allocations: string[], more: object = {}) =>
    ({ pin: { mode: 'recursive', allocations, origins: [], ...more } }) as unknown as StoredPin;
  const cases: [string, string[], () => StoredPin[]][] = [
    [
      'its allocations, and its origins',
      [origin, 'a', 'b'],
      () => [pin(['a'], { origins: [origin] }), pin(['a', 'b'])],
    ],
    ['here alone, and perhaps not yet', ['x'], () => [pin(['here'])]],
    ['everywhere', ['x'], () => [pin(['a']), pin([])]],
    ['the root alone', ['x'], () => [pin(['a'], { mode: 'direct' })]],
    [
      'a damaged row',
      ['x'],
      () => {
        throw new PinfoldError('DATA_CORRUPT', 'damaged');
      },
    ],
  ];
  for (const [what, expected, claims] of cases) {
    let asked: readonly string[] = [];
    const here = leadsTo(async (_, { sources }) => {
      asked = sources;
      return { cid: end, rest: [] };
    }, claims);
    await here.resolve({ path, origins: [] }, anyone());
    t.same(
      asked,
      expected.map((each) => (each === origin ? each : `/memory/${each}/p2p/${each}`)),
      what,
    );
  }
});

t.test('what is wrong with the request, the node is not asked', async (t) => {
  const here = leadsTo(async () => {
    throw new Error('asked');
  });
  await t.rejects(here.resolve({ path: 'x/../y', origins: [] }, anyone()), { code: 'INVALID_PATH' });
  await t.rejects(here.resolve({ path: '/ipfs/x/y', origins: [] }, anyone()), { code: 'INVALID_CID' });
  await t.rejects(here.resolve({ path, origins: ['nonsense'] }, anyone()), {
    code: 'INVALID_ARGUMENT',
    details: { fields: [{ field: 'origins' }] },
  });
});

t.test('a value inside a block is no block; and a CID that no pin could have is none', async (t) => {
  const inside = leadsTo(async () => ({ cid: end, rest: ['list', '0'] }));
  t.same((await inside.resolve({ path, origins: [] }, anyone())).rest, ['list', '0']);
  await t.rejects(inside.block({ path, origins: [] }, anyone()), {
    code: 'INVALID_PATH',
    message: new RegExp(`/ipfs/${formatCid(end)}/list/0`),
  });
  const long = new Uint8Array(300);
  long.set([1, 0x55, 0x00, 0xa8, 0x02]);
  const huge = leadsTo(async () => ({ cid: long, rest: [] }));
  await t.rejects(huge.resolve({ path, origins: [] }, anyone()), { code: 'INVALID_CID' });
});

t.test('failures of the node, as clients are told', async (t) => {
  const codes: [ConnectorErrorKind, string][] = [
    ['NO_LINK', 'PATH_NOT_FOUND'],
    ['NO_NAMES', 'NAMES_UNSUPPORTED'],
    ['NO_PROVIDER', 'IPFS_FAILED'],
    ['INVALID_DAG', 'IPFS_FAILED'],
    ['UNREACHABLE', 'IPFS_UNAVAILABLE'],
  ];
  for (const [kind, code] of codes) {
    const failing = leadsTo(async () => {
      throw new ConnectorError(kind, 'its words');
    });
    await t.rejects(failing.resolve({ path, origins: [] }, anyone()), { code, message: 'its words' });
  }
  const deadline = new PinfoldError('DEADLINE', 'too late');
  const late = leadsTo(async (_, { signal }) => {
    throw signal.reason;
  });
  await t.rejects(late.resolve({ path, origins: [] }, anyone(AbortSignal.abort(deadline))), deadline);
});

t.test('so many at once, and no more until one has ended', async (t) => {
  const gate = Promise.withResolvers<void>();
  const here = leadsTo(async () => {
    await gate.promise;
    return { cid: end, rest: [] };
  });
  const query = { path, origins: [] };
  const running = Array.from({ length: RESOLVES_MAX }, () => here.resolve(query, anyone()));
  await t.rejects(here.resolve(query, anyone()), { code: 'LIMIT_REACHED' });
  gate.resolve();
  await Promise.all(running);
  t.same(await here.resolve(query, anyone()), { cid: end, rest: [] });
});

t.test('a pin by a path', async (t) => {
  const { pins, stop } = await apiPeer();
  const follower = await apiPeer({ follower: true });
  t.teardown(() => Promise.all([stop(), follower.stop()]));
  const asked: string[] = [];
  const here = leadsTo(async (parsed, { sources }) => {
    asked.push(`${parsed.segments.join('/')} ${sources.length}`);
    return { cid: end, rest: parsed.segments.includes('inside') ? ['x'] : [] };
  });
  const { pin } = pinWrites(pins, here);
  const request = (fields: object) => create(PinRequestSchema, fields);

  await t.test('the pin has the CID, and origins count as sources', async (t) => {
    const answer = await pin(request({ path, options: { name: 'by path', origins: [origin] } }), anyone());
    t.match(answer.pin, { cid: formatCid(end), options: { name: 'by path' } });
    t.same(asked.splice(0), ['a/b 2']);
  });

  await t.test('one of path and CID', async (t) => {
    await t.rejects(pin(request({ path, cid: formatCid(end) }), anyone()), { code: 'INVALID_ARGUMENT' });
    await t.rejects(pin(request({}), anyone()), { code: 'INVALID_CID' });
    await t.rejects(pin(request({ path: `${path}/inside` }), anyone()), { code: 'INVALID_PATH' });
    asked.splice(0);
  });

  await t.test('for who may not pin, nothing is resolved', async (t) => {
    const stranger = { ...anyone(), namespaces: ['theirs'] };
    await t.rejects(pin(request({ path, namespace: 'ours' }), stranger), { code: 'PERMISSION_DENIED' });
    await t.rejects(pinWrites(follower.pins, here).pin(request({ path }), anyone()), { code: 'FOLLOWER' });
    await t.rejects(pin(request({ path, namespace: 'NO' }), anyone()), { code: 'INVALID_ARGUMENT' });
    await t.rejects(pin(request({ path, options: { name: 'x'.repeat(2_000) } }), anyone()), {
      code: 'INVALID_ARGUMENT',
    });
    t.same(asked, []);
  });

  await t.test('a retry with the same key is the same write', async (t) => {
    const once = request({ path, namespace: 'retried', idempotencyKey: 'order-1' });
    const [first, second] = [await pin(once, anyone()), await pin(once, anyone())];
    t.same(second.position, first.position);
    const other = request({ path: `${path}/c`, namespace: 'retried', idempotencyKey: 'order-1' });
    await t.rejects(pin(other, anyone()), { code: 'IDEMPOTENCY_MISMATCH' });
  });
});
