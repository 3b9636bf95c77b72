import fc from 'fast-check';
import t from 'tap';
import type { Op } from '../../src/consensus/consensus.ts';
import { decodePosition } from '../../src/consensus/crdt/core/position.ts';
import { pinOp, seededRandom, TestCluster, type TestPeer, testKey, unpinOp } from '../support/crdt-peers.ts';
import { History, type StateOfPeer, stateOf } from '../support/crdt-truth.ts';

// Any interleaving of writes, gossip that loses, partitions, partial flushes, crashes and late joins keeps the invariants of
// docs/protocol.md section 9, and ends in equal digests. FC_SEED and FC_RUNS repeat or lengthen it.

const seed = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };
const numRuns = Number(process.env.FC_RUNS ?? 25);

type Step =
  | { do: 'write'; peer: number; kind: (typeof kinds)[number]; key: number; flush: boolean }
  | { do: 'flush' | 'commit'; peer: number; count: number }
  | { do: 'time'; ms: number }
  | { do: 'cut' | 'heal'; peer: number; other: number }
  | { do: 'crash'; peer: number }
  | { do: 'join' };

const kinds = ['pin', 'pin', 'pin', 'unpin', 'unpin', 'amend', 'expire', 'expiring', 'update'] as const;
const peer = fc.nat({ max: 5 });
const count = fc.integer({ min: 1, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      peer,
      kind: fc.constantFrom(...kinds),
      key: fc.nat({ max: 1 }),
      flush: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('flush' as const), peer, count }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('commit' as const), peer, count }) },
  {
    weight: 9,
    arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(1, 5, 20, 60, 150, 400, 12_000) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'heal' as const), peer, other: peer }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), peer }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('join' as const) }) },
);

const names = ['a', 'b', 'c'];
const joiners = ['d', 'e', 'f'];

class World {
  readonly cluster: TestCluster;
  /** Dots that were acknowledged, by author's name (I4). */
  readonly acknowledged: { name: string; rid: string; sequence: number }[] = [];

  constructor(seedOfWorld: number, delayMsMax = 10) {
    const random = seededRandom(seedOfWorld);
    const delayMs = () => 1 + Math.floor(delayMsMax * random.float());
    this.cluster = new TestCluster(seedOfWorld, undefined, { dropProbability: 0.4, delayMs });
  }

  async begin(): Promise<void> {
    for (const name of names) await this.cluster.add({ name, flush: 'manual' });
    await this.pass(3_000);
  }

  async run(step: Step): Promise<void> {
    const { cluster } = this;
    if (step.do === 'time') return cluster.time.advance(step.ms);
    if (step.do === 'join') return this.join();
    const peer = this.peer(step.peer);
    if (step.do === 'write') {
      this.write(peer, this.opsOf(peer, step));
      await cluster.time.advance(0);
      if (step.flush) peer.storage.control.flush();
    }
    if (step.do === 'flush') peer.storage.control.flush(step.count);
    else if (step.do === 'commit') peer.storage.control.commit(step.count);
    else if (step.do === 'crash') await this.crash(peer);
    else if ('other' in step && step.peer !== step.other) {
      const other = this.peer(step.other);
      if (other === peer) return;
      if (step.do === 'cut') cluster.hub.partition(peer.peerId, other.peerId);
      else cluster.hub.heal(peer.peerId, other.peerId);
    }
    await cluster.time.advance(0);
  }

  peer(number: number): TestPeer {
    const peers = [...this.cluster.peers.values()];
    return peers[number % peers.length] as TestPeer;
  }

  opsOf(peer: TestPeer, { kind, key }: Step & { do: 'write' }): Op[] {
    const allocation = [this.peer(key).peerId];
    const basis = peer.pinset.get(testKey(key))?.etag ?? new Uint8Array(16);
    if (kind === 'pin') return [pinOp(key, { name: `${peer.name}${key}` }, allocation)];
    if (kind === 'expiring') return [pinOp(key, { name: 'old', expiresMs: 1_700_000_000_001 })];
    if (kind === 'unpin') return [unpinOp(key)];
    if (kind === 'update') return [pinOp(key + 1, { name: 'updated' }), unpinOp(key)];
    if (kind === 'amend') return [{ kind: 'amend', key: testKey(key), basis, allocations: allocation }];
    return [{ kind: 'expire', key: testKey(key), basis }];
  }

  write(peer: TestPeer, ops: Op[]): void {
    peer.commit({ ops }).then(
      ([outcome]) => {
        if (!outcome?.ok) return;
        for (const { rid, sequence } of decodePosition(outcome.position)) {
          this.acknowledged.push({ name: peer.name, rid: Buffer.from(rid).toString('hex'), sequence });
        }
      },
      () => {}, // The peer crashed: nothing was promised.
    );
  }

  async crash(peer: TestPeer): Promise<void> {
    await peer.crash();
    await this.cluster.pumped(peer, peer.start());
  }

  async join(): Promise<void> {
    const name = joiners.find((one) => !this.cluster.peers.has(one));
    if (name !== undefined) await this.cluster.add({ name, flush: 'manual' });
  }

  states(): Map<string, StateOfPeer> {
    return new Map(
      [...this.cluster.peers.values()].map((peer) => [peer.name, stateOf(peer.storage.read, peer.pinset)]),
    );
  }

  check(): string[] {
    const states = this.states();
    const history = History.of(states.values());
    const problems = [...states].flatMap(([name, state]) => history.check(name, state));
    for (const { name, rid, sequence } of this.acknowledged) {
      const has = states.get(name)?.clock.get(rid)?.sequence ?? 0;
      if (has < sequence) problems.push(`I4: ${name} lacks its acknowledged ${rid.slice(0, 6)} ${sequence}`);
    }
    return [...new Set(problems)];
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 250) {
      this.cluster.flush();
      await this.cluster.time.advance(250);
    }
  }

  /** I8: no more faults, no more writes. */
  async healed(): Promise<boolean> {
    const { cluster } = this;
    const peers = [...cluster.peers.values()];
    for (const one of peers) for (const other of peers) if (one !== other) cluster.hub.heal(one.peerId, other.peerId);
    for (let ms = 0; ms < 180_000; ms += 1_000) {
      const isReady = peers.every(({ consensus }) => consensus.status().phase === 'ready');
      if (isReady && this.haveEqualClocks() && new Set(peers.map((one) => one.root())).size === 1) return true;
      await this.pass(1_000);
    }
    return false;
  }

  haveEqualClocks(): boolean {
    const clocks = [...this.states().values()].map(({ clock }) => JSON.stringify([...clock].sort()));
    return new Set(clocks.map((clock) => clock.replaceAll(/"floor":\d+/g, ''))).size === 1;
  }
}

t.test('invariants hold at every step, and healed peers agree', { timeout: 600_000 }, async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { minLength: 10, maxLength: 80 }), async (seedOfWorld, steps) => {
      const world = new World(seedOfWorld);
      try {
        await world.begin();
        for (const [i, one] of steps.entries()) {
          await world.run(one);
          const problems = world.check();
          if (problems.length > 0) throw new Error(`after step ${i} (${one.do}): ${problems.join('\n')}`);
        }
        if (!(await world.healed())) {
          throw new Error(
            `I8: not healed: ${JSON.stringify([...world.cluster.peers.values()].map(({ consensus }) => consensus.status()))}`,
          );
        }
        const problems = world.check();
        if (problems.length > 0) throw new Error(`healed: ${problems.join('\n')}`);
      } finally {
        await world.cluster.stop();
      }
    }),
    { numRuns, ...seed, interruptAfterTimeLimit: 90_000 },
  );
  t.pass(`${numRuns} worlds`);
});

type JoinStep =
  | { do: 'write'; peer: number; kind: (typeof kinds)[number]; key: number; flush: boolean }
  | { do: 'flush' | 'commit'; peer: number; count: number }
  | { do: 'time'; ms: number }
  | { do: 'cut' | 'heal'; peer: number; other: number }
  | { do: 'crash'; peer: number };

const source = fc.nat({ max: 1 });
const joinStep: fc.Arbitrary<JoinStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      peer: source,
      kind: fc.constantFrom(...kinds),
      key: fc.nat({ max: 9 }),
      flush: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'commit' as const), peer: source, count }),
  },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(5, 20, 50, 100) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('cut' as const, 'heal' as const),
      peer: source,
      other: fc.constantFrom(1, 2),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), peer: fc.nat({ max: 2 }) }) },
);

t.test(
  'a peer that joins while others write, crash and are cut off ends like them (B1 to B6)',
  { timeout: 600_000 },
  async (t) => {
    let joined = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(joinStep, { minLength: 60, maxLength: 160 }),
        async (seedOfWorld, steps) => {
          const world = new World(seedOfWorld, 3);
          const { cluster } = world;
          try {
            for (const name of ['a', 'b']) await cluster.add({ name, flush: 'manual' });
            await world.pass(3_000);
            for (let key = 0; key < 6; key++) {
              await world.run({ do: 'write', peer: key % 2, kind: 'pin', key, flush: true });
              await world.pass(250);
            }
            const late = await cluster.add({ name: 'd' });
            for (const [i, one] of steps.entries()) {
              await world.run(one);
              const problems = world.check();
              if (problems.length > 0) throw new Error(`after step ${i} (${one.do}): ${problems.join('\n')}`);
            }
            if (late.consensus.status().phase === 'ready') joined++;
            if (!(await world.healed())) throw new Error(`I8: not healed: ${JSON.stringify(late.consensus.status())}`);
            const problems = world.check();
            if (problems.length > 0) throw new Error(`healed: ${problems.join('\n')}`);
          } finally {
            await cluster.stop();
          }
        },
      ),
      { numRuns, ...seed, interruptAfterTimeLimit: 90_000 },
    );
    t.comment(`${joined} joined before the world was healed`);
    t.pass(`${numRuns} worlds`);
  },
);
