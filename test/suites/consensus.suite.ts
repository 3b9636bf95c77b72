import type { Test } from 'tap';
import type { Consensus, Op, Outcome, Request } from '../../src/consensus/consensus.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import type { PinKey } from '../../src/model/pin.ts';
import type { Pinset } from '../../src/pinset/pinset.ts';
import { plainFields, testKey } from '../support/crdt-peers.ts';

/** A consensus of one peer that is ready, committing and flushing by itself; what it leaves behind is removed with `t`. */
export type ConsensusFactory = (t: Test) => Promise<ConsensusUnderTest>;

export interface ConsensusUnderTest {
  consensus: Consensus;
  pinset: Pinset;
  /** Wall clock, milliseconds. */
  nowMs(): number;
  peerIds: readonly string[];
}

/** The contract of src/consensus/consensus.ts, what every implementation has in common. */
export function consensusSuite(t: Test, factory: ConsensusFactory): void {
  t.test('pins and unpins', (t) => pinCases(t, factory));
  t.test('conditions', (t) => conditionCases(t, factory));
  t.test('amend and expire', (t) => automaticCases(t, factory));
  t.test('requests are atomic, calls are not', (t) => atomicCases(t, factory));
  t.test('idempotency', (t) => idempotencyCases(t, factory));
  t.test('bulk streams', (t) => streamCases(t, factory));
  t.test('positions', (t) => positionCases(t, factory));
  t.test('acknowledgement levels', (t) => levelCases(t, factory));
  t.test('limits, abort, stop', (t) => limitCases(t, factory));
}

const never = new AbortController().signal;

function commit({ consensus }: ConsensusUnderTest, ...requests: Request[]): Promise<Outcome[]> {
  return consensus.commit(requests, { signal: never });
}

async function one(under: ConsensusUnderTest, request: Request): Promise<Outcome> {
  return (await commit(under, request))[0] as Outcome;
}

function pin(key: PinKey, name = '', allocations: readonly string[] = [], expiresMs = 0): Op {
  return { kind: 'pin', key, fields: { ...plainFields, name, expiresMs }, allocations };
}

function unpin(key: PinKey): Op {
  return { kind: 'unpin', key };
}

function code(outcome: Outcome | undefined): ErrorCode | 'ok' | undefined {
  if (outcome === undefined) return undefined;
  return outcome.ok ? 'ok' : outcome.error.code;
}

function pinCases(t: Test, factory: ConsensusFactory): void {
  t.test('a pin is answered as stored, and is in the pinset by then', async (t) => {
    const under = await factory(t);
    const key = testKey('a');
    const outcome = await one(under, { ops: [pin(key, 'name', [under.peerIds[0] as string])] });
    if (!outcome.ok) throw outcome.error;
    t.equal(outcome.pin?.pin.name, 'name');
    t.same(outcome.pin?.pin.allocations, [under.peerIds[0]]);
    t.equal(outcome.level.kind, 'durable');
    t.same(outcome.unseenBy, []);
    t.equal(under.pinset.get(key)?.pin.name, 'name');
    t.same(under.pinset.get(key)?.etag, outcome.pin?.etag);
  });

  t.test('pinning again replaces; the stored pin shows the new fields', async (t) => {
    const under = await factory(t);
    const key = testKey('a');
    await commit(under, { ops: [pin(key, 'old')] }, { ops: [pin(key, 'new')] });
    t.equal(under.pinset.get(key)?.pin.name, 'new');
    t.equal(under.pinset.count(), 1);
  });

  t.test('an unpin answers the pin as it was; there is nothing to unpin twice', async (t) => {
    const under = await factory(t);
    const key = testKey('a');
    await one(under, { ops: [pin(key, 'was')] });
    const outcome = await one(under, { ops: [unpin(key)] });
    t.equal(outcome.ok && outcome.pin?.pin.name, 'was');
    t.equal(under.pinset.get(key), undefined);
    t.equal(code(await one(under, { ops: [unpin(key)] })), 'PIN_NOT_FOUND');
  });

  t.test('one key many times in one call: each request sees those before it', async (t) => {
    const under = await factory(t);
    const key = testKey('a');
    const outcomes = await commit(
      under,
      { ops: [unpin(key)] },
      { ops: [pin(key, '1')] },
      { ops: [pin(key, '2')], condition: { kind: 'if-absent' } },
      { ops: [unpin(key)] },
      { ops: [pin(key, '3')], condition: { kind: 'if-absent' } },
    );
    t.same(outcomes.map(code), ['PIN_NOT_FOUND', 'ok', 'CONDITION_FAILED', 'ok', 'ok']);
    t.equal(under.pinset.get(key)?.pin.name, '3');
  });

  t.test('the same CID in two namespaces is two pins', async (t) => {
    const under = await factory(t);
    await commit(under, { ops: [pin(testKey('a', 'one'), '1')] }, { ops: [pin(testKey('a', 'two'), '2')] });
    t.equal(under.pinset.get(testKey('a', 'one'))?.pin.namespace, 'one');
    await one(under, { ops: [unpin(testKey('a', 'one'))] });
    t.equal(under.pinset.get(testKey('a', 'two'))?.pin.name, '2');
  });

  t.test('thousands in one call, over several transactions, in order', async (t) => {
    const under = await factory(t);
    const requests = Array.from({ length: 7_000 }, (_, i) => ({ ops: [pin(testKey(i), `${i}`)] }));
    const outcomes = await commit(under, ...requests);
    t.ok(outcomes.every((outcome, i) => outcome.ok && outcome.pin?.pin.name === `${i}`));
    t.equal(under.pinset.count(), 7_000);
  });
  t.end();
}

function conditionCases(t: Test, factory: ConsensusFactory): void {
  t.test('if-match holds for the etag that is, and fails for another and for no pin', async (t) => {
    const under = await factory(t);
    const key = testKey('a');
    const first = await one(under, { ops: [pin(key, '1')] });
    const etag = (first.ok && first.pin?.etag) as Uint8Array;
    const condition = { kind: 'if-match' as const, etag };
    t.equal(code(await one(under, { ops: [pin(key, '2')], condition })), 'ok');
    t.equal(code(await one(under, { ops: [pin(key, '3')], condition })), 'CONDITION_FAILED');
    t.equal(code(await one(under, { ops: [pin(testKey('b'))], condition })), 'CONDITION_FAILED');
    t.equal(under.pinset.get(key)?.pin.name, '2');
  });
  t.end();
}

function automaticCases(t: Test, factory: ConsensusFactory): void {
  t.test('amend changes allocations and nothing else, if the basis still holds', async (t) => {
    const under = await factory(t);
    const key = testKey('a');
    const [here, there] = under.peerIds as [string, string];
    await one(under, { ops: [pin(key, 'n', [here])] });
    const basis = under.pinset.get(key)?.etag as Uint8Array;
    const amended = await one(under, { ops: [{ kind: 'amend', key, basis, allocations: [there] }] });
    t.same(amended.ok && amended.pin?.pin.allocations, [there]);
    t.equal(amended.ok && amended.pin?.pin.name, 'n');
    const stale = await one(under, { ops: [{ kind: 'amend', key, basis, allocations: [here] }] });
    t.equal(stale.ok && stale.pin, undefined, 'a stale basis does nothing');
    t.same(under.pinset.get(key)?.pin.allocations, [there]);
  });

  t.test('expire removes what has expired, and nothing else', async (t) => {
    const under = await factory(t);
    const [old, young] = [testKey('old'), testKey('young')];
    const nowMs = under.nowMs();
    await commit(under, { ops: [pin(old, '', [], nowMs - 1)] }, { ops: [pin(young, '', [], nowMs + 1e9)] });
    const expire = (key: PinKey): Request => ({
      ops: [{ kind: 'expire', key, basis: under.pinset.get(key)?.etag as Uint8Array }],
    });
    t.same((await commit(under, expire(old), expire(young))).map(code), ['ok', 'ok']);
    t.equal(under.pinset.get(old), undefined);
    t.ok(under.pinset.get(young));
  });
  t.end();
}

function atomicCases(t: Test, factory: ConsensusFactory): void {
  t.test('update: both operations at one revision, or none', async (t) => {
    const under = await factory(t);
    const [from, to, missing] = [testKey('from'), testKey('to'), testKey('missing')];
    await one(under, { ops: [pin(from)] });
    const { revision } = under.pinset.feed;
    t.equal(code(await one(under, { ops: [pin(to), unpin(from)] })), 'ok');
    t.equal(under.pinset.feed.revision, revision + 1);
    t.equal(code(await one(under, { ops: [pin(from), unpin(missing)] })), 'PIN_NOT_FOUND');
    t.equal(under.pinset.get(from), undefined, 'nothing of it was done');
    t.ok(under.pinset.get(to));
  });

  t.test('a request that is refused does not hold up the others', async (t) => {
    const under = await factory(t);
    const outcomes = await commit(under, { ops: [unpin(testKey(1))] }, { ops: [pin(testKey(2))] }, { ops: [] });
    t.same(outcomes.map(code), ['PIN_NOT_FOUND', 'ok', 'INVALID_ARGUMENT']);
  });
  t.end();
}

function idempotencyCases(t: Test, factory: ConsensusFactory): void {
  t.test('the same key and request: done once; the same key for another request: refused', async (t) => {
    const under = await factory(t);
    const idempotency = { key: Buffer.alloc(16, 'k'), request: Buffer.alloc(16, 'r') };
    const request: Request = { ops: [pin(testKey('a'), 'once')], idempotency };
    const [first, second] = await commit(under, request, request);
    const third = await one(under, request);
    const positions = [first, second, third].map(
      (outcome) => outcome?.ok && Buffer.from(outcome.position).toString('hex'),
    );
    t.equal(new Set(positions).size, 1, 'one write');
    const other = { ops: [pin(testKey('b'))], idempotency: { ...idempotency, request: Buffer.alloc(16, 'other') } };
    t.equal(code(await one(under, other)), 'IDEMPOTENCY_MISMATCH');
  });
  t.end();
}

function streamCases(t: Test, factory: ConsensusFactory): void {
  const key = Buffer.alloc(16, 's');
  const numbered = (number: number, op = pin(testKey(number), `${number}`)): Request => ({
    ops: [op],
    stream: { key, number },
  });

  t.test('numbers are decided in order, once, and the stream goes on after a refusal', async (t) => {
    const under = await factory(t);
    t.equal(await under.consensus.streamDecided(key), 0);
    const outcomes = await commit(under, numbered(1), numbered(2, unpin(testKey('none'))), numbered(3));
    t.same(outcomes.map(code), ['ok', 'PIN_NOT_FOUND', 'ok']);
    t.equal(await under.consensus.streamDecided(key), 3);
    const again = await commit(under, numbered(2), numbered(3), numbered(4));
    t.same(again.map(code), ['ok', 'ok', 'ok']);
    t.equal(again[0]?.ok && again[0].pin, undefined, 'a number that was decided is not done again');
    t.equal(await under.consensus.streamDecided(key), 4);
    t.equal(under.pinset.get(testKey(2)), undefined);
  });

  t.test('a gap is refused', async (t) => {
    const under = await factory(t);
    t.same((await commit(under, numbered(1), numbered(3))).map(code), ['ok', 'STREAM_GAP']);
    t.equal(await under.consensus.streamDecided(key), 1);
  });
  t.end();
}

function positionCases(t: Test, factory: ConsensusFactory): void {
  t.test('a position covers its write, and names what changed since', async (t) => {
    const under = await factory(t);
    const { consensus, pinset } = under;
    const first = await one(under, { ops: [pin(testKey('a'))] });
    t.ok(first.ok && consensus.covers(first.position));
    const then = consensus.flushedPosition(pinset.feed.revision);
    if (then === undefined) throw new Error('it is flushed');
    t.same(consensus.changedSince(then), []);
    await commit(under, { ops: [pin(testKey('b'))] }, { ops: [unpin(testKey('a'))] });
    const changed = consensus.changedSince(then);
    t.same(
      Array.isArray(changed) && changed.map((key) => Buffer.from(key).toString('hex')).sort(),
      ['a', 'b'].map((name) => Buffer.from(testKey(name)).toString('hex')).sort(),
    );
    t.ok(consensus.covers(then));
    t.same(consensus.flushedPosition(pinset.feed.revision - 1), then, 'an earlier revision covers no more than it did');
    t.equal(consensus.flushedPosition(pinset.feed.revision + 1), undefined);
  });

  t.test('a damaged position is INVALID_TOKEN', async (t) => {
    const { consensus } = await factory(t);
    for (const bad of [Buffer.alloc(0), Buffer.from('rubbish'), Buffer.from([1, 2, 3])]) {
      t.throws(() => consensus.covers(bad), { code: 'INVALID_TOKEN' });
      t.throws(() => consensus.changedSince(bad), { code: 'INVALID_TOKEN' });
    }
  });
  t.end();
}

function levelCases(t: Test, factory: ConsensusFactory): void {
  t.test('what is answered is durable, here', async (t) => {
    const under = await factory(t);
    const outcome = await one(under, { ops: [pin(testKey('a'))] });
    if (!outcome.ok) throw outcome.error;
    t.same(outcome.level, { kind: 'durable' });
    const options = { signal: never, timeoutMs: 10_000 };
    const reached = await under.consensus.waitLevel(outcome.position, { kind: 'durable' }, options);
    t.same(reached.level, { kind: 'durable' });
    t.same(reached.acknowledgedBy, [under.peerIds[0]]);
    t.equal(under.consensus.levelRefusal({ kind: 'durable' }), undefined);
  });

  t.test('more peers than there are: refused beforehand, and answered with what was reached', async (t) => {
    const under = await factory(t);
    if (!under.consensus.capabilities.levels.includes('replicated')) return;
    const [single, two] = [{ kind: 'replicated', count: 1 } as const, { kind: 'replicated', count: 2 } as const];
    t.equal(under.consensus.levelRefusal(single), undefined);
    t.match(under.consensus.levelRefusal(two), { code: 'LEVEL_UNREACHABLE', details: { facts: { peers: '1' } } });
    const outcome = await one(under, { ops: [pin(testKey('a'))], ack: two });
    if (!outcome.ok) throw outcome.error;
    const options = { signal: never, timeoutMs: 50 };
    t.same((await under.consensus.waitLevel(outcome.position, single, options)).level, single);
    const reached = await under.consensus.waitLevel(outcome.position, two, options);
    t.same(reached, { level: { kind: 'durable' }, acknowledgedBy: [under.peerIds[0]] });
  });

  t.test('a level that is not among the capabilities, a damaged position, and aborting', async (t) => {
    const under = await factory(t);
    const outcome = await one(under, { ops: [pin(testKey('a'))] });
    if (!outcome.ok) throw outcome.error;
    const { consensus } = under;
    for (const kind of ['replicated', 'pinned'] as const) {
      if (consensus.capabilities.levels.includes(kind)) continue;
      const level = { kind, count: 1 };
      t.match(consensus.levelRefusal(level), { code: 'UNIMPLEMENTED' });
      const waiting = consensus.waitLevel(outcome.position, level, { signal: never, timeoutMs: 10 });
      await t.rejects(waiting, { code: 'UNIMPLEMENTED' });
    }
    const durable = { kind: 'durable' } as const;
    const rubbish = consensus.waitLevel(Buffer.from('rubbish'), durable, { signal: never, timeoutMs: 10 });
    await t.rejects(rubbish, { code: 'INVALID_TOKEN' });
    const reason = new Error('enough');
    const abort = AbortSignal.abort(reason);
    await t.rejects(consensus.waitLevel(outcome.position, durable, { signal: abort, timeoutMs: 10 }), reason);
  });
  t.end();
}

function limitCases(t: Test, factory: ConsensusFactory): void {
  t.test('a request that no batch can hold is refused, and those around it are done', async (t) => {
    const under = await factory(t);
    const metadata: [string, string][] = [['k', 'x'.repeat(8_000)]];
    const large = Array.from({ length: 200 }, (_, i): Op => {
      return { kind: 'pin', key: testKey(`large ${i}`), fields: { ...plainFields, metadata }, allocations: [] };
    });
    const outcomes = await commit(under, { ops: [pin(testKey(1))] }, { ops: large }, { ops: [pin(testKey(2))] });
    t.same(outcomes.map(code), ['ok', 'INVALID_ARGUMENT', 'ok']);
    t.equal(under.pinset.count(), 2);
  });

  t.test('fields over their limits are refused by name', async (t) => {
    const under = await factory(t);
    const outcome = await one(under, { ops: [pin(testKey(1), 'n'.repeat(2_000))] });
    t.equal(code(outcome), 'INVALID_ARGUMENT');
    t.equal(code(await one(under, { ops: [pin(testKey(1), '', ['not a peer'])] })), 'INVALID_ARGUMENT');
  });

  t.test('aborting stops the waiting', async (t) => {
    const { consensus } = await factory(t);
    const reason = new Error('enough');
    await t.rejects(consensus.commit([{ ops: [pin(testKey(1))] }], { signal: AbortSignal.abort(reason) }), reason);
    const abort = new AbortController();
    const waiting = consensus.commit([{ ops: [pin(testKey(2))] }], { signal: abort.signal });
    abort.abort(reason);
    await t.rejects(waiting, reason);
  });

  t.test('stop decides what was taken in, and takes no more', async (t) => {
    const under = await factory(t);
    const { consensus } = under;
    const taken = commit(under, { ops: [pin(testKey(1))] });
    const stopped = consensus.stop();
    t.same((await taken).map(code), ['ok']);
    await stopped;
    await t.rejects(commit(under, { ops: [pin(testKey(2))] }), { code: 'SHUTTING_DOWN' });
    t.equal(consensus.status().phase, 'stopped');
  });
  t.end();
}
