import t from 'tap';
import { type TrustChange, trusting } from '../../../src/cluster/trusting.ts';
import { testSigner } from '../../support/crdt-peers.ts';

const [me, b, c, d] = ['me', 'b', 'c', 'd'].map((name) => testSigner(name).peerId) as [string, string, string, string];
const none: TrustChange = { replace: undefined, add: [], remove: [] };

function world(
  own: readonly string[] | 'all',
  save: (peerIds: readonly string[] | 'all') => Promise<void> = async () => {},
) {
  const state = { own, changes: 0 };
  const trust = {
    get own() {
      return { peerIds: state.own };
    },
    listOf: () => undefined,
    unseen: () => ({ unseenBy: [] }),
    change(peerIds: readonly string[] | 'all') {
      state.own = peerIds;
      state.changes++;
    },
  };
  return { state, change: trusting({ peerId: me, trustedPeersMax: 3 }, { trust, save }).change };
}

t.test('replace, then add, then remove', async (t) => {
  const { change, state } = world('all');
  t.strictSame(await change({ ...none, replace: [b] }), [b]);
  t.strictSame(await change({ ...none, add: [c, b] }), [b, c]);
  t.strictSame(await change({ ...none, add: [d], remove: [b] }), [c, d]);
  t.strictSame(await change({ replace: [b, c], add: [d], remove: [c] }), [b, d]);
  t.strictSame(await change({ ...none, replace: [] }), []);
  t.strictSame(await change({ ...none, replace: 'all' }), 'all');
  t.equal(state.own, 'all');
});

t.test('asking for nothing changes and saves nothing', async (t) => {
  const { change, state } = world([b], () => Promise.reject(new Error('saved')));
  t.strictSame(await change(none), [b]);
  t.equal(state.changes, 0);
});

t.test('a list of all can only be replaced', async (t) => {
  const { change, state } = world('all');
  await t.rejects(change({ ...none, add: [b] }), { code: 'INVALID_ARGUMENT', message: /replace the list/ });
  await t.rejects(change({ ...none, remove: [b] }), { code: 'INVALID_ARGUMENT' });
  t.equal(state.own, 'all');
});

t.test('no peer IDs, itself, too many: refused, and nothing changes', async (t) => {
  const { change, state } = world([b]);
  for (const wrong of [
    { ...none, add: ['nonsense'] },
    { ...none, replace: [b, ''] },
    { ...none, remove: ['*'] },
    { ...none, remove: [me] },
    { replace: [b, c], add: [d, me], remove: [] },
  ]) {
    await t.rejects(change(wrong), { code: 'INVALID_ARGUMENT' }, JSON.stringify(wrong));
  }
  t.strictSame(state, { own: [b], changes: 0 });
});

t.test('what cannot be kept does not count; the next change does', async (t) => {
  let isBroken = true;
  const { change, state } = world([b], async () => {
    if (isBroken) throw new Error('the disk is full');
  });
  await t.rejects(change({ ...none, add: [c] }), { message: 'the disk is full' });
  t.strictSame(state.own, [b]);
  isBroken = false;
  t.strictSame(await change({ ...none, add: [d] }), [b, d]);
});

t.test('changes at once are made one after the other: none undoes another', async (t) => {
  const saved: (readonly string[] | 'all')[] = [];
  const { change, state } = world([b], async (peerIds) => {
    await new Promise((resolve) => setImmediate(resolve));
    saved.push(peerIds);
  });
  await Promise.all([change({ ...none, add: [c] }), change({ ...none, add: [d] }), change({ ...none, remove: [b] })]);
  t.strictSame(state.own, [c, d]);
  t.strictSame(saved.at(-1), [c, d]);
});
