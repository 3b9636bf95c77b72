import t from 'tap';
import type { PeerCalls } from '../../../src/consensus/crdt/peer-calls.ts';
import { trustedCalls } from '../../../src/consensus/crdt/trust/trusted-calls.ts';

/** Answers with numbers, for as long as it is asked. */
function endless() {
  const state = { given: 0, isLeft: false };
  async function* call() {
    try {
      for (;;) yield state.given++;
    } finally {
      state.isLeft = true;
    }
  }
  return { state, rpc: { call } as unknown as PeerCalls };
}

t.test('T3: a source that is struck off in the middle of a call loses it at its next message', async (t) => {
  const { state, rpc } = endless();
  const trusted = new Set(['b']);
  const calls = trustedCalls(rpc, (peerId) => trusted.has(peerId));
  const taken: unknown[] = [];
  const take = async () => {
    for await (const message of calls.call('b', 'mergeRange', [], { signal: new AbortController().signal })) {
      taken.push(message);
      if (taken.length === 3) trusted.delete('b');
    }
  };
  await t.rejects(take(), { code: 'PERMISSION_DENIED' });
  t.strictSame(taken, [0, 1, 2]);
  t.ok(state.isLeft, 'and the call is ended at the source');
});

t.test('T3: who is not trusted is not even asked', async (t) => {
  const { state, rpc } = endless();
  const calls = trustedCalls(rpc, () => false);
  const take = async () => {
    for await (const _ of calls.call('b', 'sync', [], { signal: new AbortController().signal })) t.fail('it gave');
  };
  await t.rejects(take(), { code: 'PERMISSION_DENIED' });
  t.equal(state.given, 0);
});
