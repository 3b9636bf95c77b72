import t from 'tap';
import { decodePosition } from '../../src/consensus/crdt/core/position.ts';
import { forksTable } from '../../src/consensus/crdt/tables.ts';
import type { MemoryStorage } from '../../src/storage/memory/memory-storage.ts';
import { memoryStorage } from '../../src/storage/memory/memory-storage.ts';
import {
  crdtTestTables,
  pinOp,
  seededRandom,
  TestCluster,
  type TestPeer,
  testKey,
  unpinOp,
} from '../support/crdt-peers.ts';
import { History, stateOf } from '../support/crdt-truth.ts';
import { fc } from '../support/fast-check.ts';

// Stores are put back at any moment while peers write, are cut off and crash: seen, with another stamp, at every peer; unseen, with the
// same, at one of them. (Two authors each on a branch that the other gave up are more than the protocol promises.) In the end all agree, the invariants hold, and what was acknowledged and is still on some disk when the faults end is at every peer.

const numRuns = Number(process.env.FC_RUNS ?? 40);

type Step =
  | { do: 'pin' | 'unpin' | 'backup' | 'copy' | 'putback' | 'crash'; peer: number }
  | { do: 'shared'; peer: number; key: number }
  | { do: 'fork'; peer: number; meets: number; lost: number; again: number; unpins: boolean }
  | { do: 'time'; ms: number }
  | { do: 'cut' | 'heal'; peer: number; other: number };

const peer = fc.nat({ max: 2 });
const alone = (what: 'pin' | 'unpin' | 'backup' | 'copy' | 'putback' | 'crash', weight: number) => ({
  weight,
  arbitrary: fc.record({ do: fc.constant(what), peer }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  alone('pin', 10),
  alone('unpin', 2),
  { weight: 3, arbitrary: fc.record({ do: fc.constant('shared' as const), peer, key: fc.nat({ max: 2 }) }) },
  alone('backup', 3),
  { weight: 3, arbitrary: fc.constant({ do: 'putback' as const, peer: 0 }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('fork' as const),
      peer: fc.constant(0),
      meets: peer,
      lost: fc.integer({ min: 0, max: 4 }),
      again: fc.integer({ min: 1, max: 4 }),
      unpins: fc.boolean(),
    }),
  },
  alone('copy', 1),
  alone('crash', 1),
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(5, 50, 500, 4_000, 20_000) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'heal' as const), peer, other: peer }) },
);

const names = ['a', 'b', 'c'];

class World {
  readonly cluster: TestCluster;
  readonly #backups = new Map<string, MemoryStorage>();
  /** Keys that only one write ever pinned, acknowledged, and not unpinned since. */
  readonly pinned = new Set<string>();
  forgone = false;
  readonly unpinned = new Set<string>();
  #keys = 0;
  #stamps = 0;

  constructor(seedOfWorld: number) {
    const random = seededRandom(seedOfWorld);
    this.cluster = new TestCluster(seedOfWorld, undefined, {
      dropProbability: 0.2,
      delayMs: () => 1 + 5 * random.float(),
    });
  }

  async begin(): Promise<void> {
    for (const name of names) await this.cluster.add({ name, crdt: { restartCompareTimeoutMs: 500 } });
    await this.pass(3_000);
  }

  peer(number: number): TestPeer {
    return this.cluster.peer(names[number] as string);
  }

  async run(one: Step): Promise<void> {
    const { cluster } = this;
    if (one.do === 'time') return this.pass(one.ms);
    const peer = this.peer(one.peer);
    if (one.do === 'pin') this.#pin(peer);
    else if (one.do === 'unpin') this.#unpin(peer);
    else if (one.do === 'fork') await this.#fork(peer, one);
    else if (one.do === 'shared') this.#write(peer, `shared ${one.key}`, 'pin');
    else if (one.do === 'backup') this.#backups.set(peer.name, peer.storage.control.copy());
    else if (one.do === 'crash') await this.#restart(peer, undefined);
    else if (one.do === 'putback') await this.#restart(peer, this.#backups.get(peer.name)?.control.copy());
    else if (one.do === 'copy') {
      peer.identityStamp = Buffer.from(`copied ${++this.#stamps}`);
      await this.#restart(peer, this.#backups.get(peer.name)?.control.copy());
    } else if ('other' in one && one.peer !== one.other) {
      const other = this.peer(one.other);
      if (one.do === 'cut') cluster.hub.partition(peer.peerId, other.peerId);
      else cluster.hub.heal(peer.peerId, other.peerId);
    }
    await cluster.time.advance(0);
  }

  pass(ms: number): Promise<void> {
    return this.cluster.time.advance(ms);
  }

  /** Writes, is put back unseen to before that, and writes again before it meets the others, of whom it meets one first. */
  async #fork(peer: TestPeer, { meets, lost, again, unpins }: Step & { do: 'fork' }): Promise<void> {
    const { hub } = this.cluster;
    const others = names.map((name) => this.cluster.peer(name)).filter((other) => other !== peer);
    const before = peer.storage.control.copy();
    for (let i = 0; i < lost; i++) {
      this.#pin(peer);
      await this.pass(60);
    }
    for (const other of others) hub.partition(peer.peerId, other.peerId);
    await this.#restart(peer, before);
    await this.pass(600);
    for (let i = 0; i < again; i++) {
      this.#pin(peer);
      await this.pass(20);
    }
    if (unpins) this.#unpin(peer);
    await this.pass(100);
    hub.heal(peer.peerId, (others[meets % 2] as TestPeer).peerId);
  }

  #pin(peer: TestPeer): void {
    const name = `k${this.#keys++}`;
    this.#write(peer, name, 'pin', () => this.pinned.add(name));
  }

  #unpin(peer: TestPeer): void {
    const name = [...this.pinned].find((known) => peer.pinset.get(testKey(known)) !== undefined);
    if (name === undefined) return;
    // From here on it may be there or not, until it is known to be gone.
    this.pinned.delete(name);
    this.#write(peer, name, 'unpin', () => this.unpinned.add(name));
  }

  #write(peer: TestPeer, name: string, kind: 'pin' | 'unpin', done: () => void = () => {}): void {
    const op = kind === 'pin' ? pinOp(name, { name }) : unpinOp(name);
    peer.consensus.commit([{ ops: [op] }], { signal: new AbortController().signal }).then(
      ([outcome]) => {
        if (outcome?.ok && decodePosition(outcome.position).length > 0) done();
      },
      () => {}, // It crashed: nothing was promised.
    );
  }

  async #restart(peer: TestPeer, storage: MemoryStorage | undefined): Promise<void> {
    await peer.crash();
    if (storage !== undefined) peer.storage = storage;
    await this.cluster.pumped(peer, peer.start());
  }

  /** Where every acknowledged pin is that some disk still holds. */
  survivors(): string[] {
    const peers = names.map((name) => this.cluster.peer(name));
    return [...this.pinned].filter((name) => peers.some(({ pinset }) => pinset.get(testKey(name)) !== undefined));
  }

  async healed(): Promise<boolean> {
    const { cluster } = this;
    const peers = names.map((name) => cluster.peer(name));
    for (const one of peers) for (const other of peers) if (one !== other) cluster.hub.heal(one.peerId, other.peerId);
    for (let ms = 0; ms < 1_500_000; ms += 2_000) {
      await this.pass(2_000);
      if (this.#agree(peers)) return true;
      for (const peer of peers) await this.#rejoinIfTold(peer, ms > 700_000);
    }
    return false;
  }

  #agree(peers: readonly TestPeer[]): boolean {
    const states = peers.map(({ storage, pinset }) => JSON.stringify([...stateOf(storage.read, pinset).clock].sort()));
    const clocks = new Set(states.map((clock) => clock.replaceAll(/"floor":\d+/g, '')));
    return clocks.size === 1 && new Set(peers.map((one) => one.root())).size === 1;
  }

  /** What an operator does whose peer says so. */
  async #rejoinIfTold(peer: TestPeer, isLate: boolean): Promise<void> {
    const { alerts } = peer.consensus.status();
    const isUnproven =
      isLate && alerts.some(({ kind, message }) => kind === 'FORK' && message.includes('store rejoin'));
    if (peer.consensus.refusal()?.code !== 'STORE_FORKED' && !isUnproven) return;
    rejoined++;
    // What only this peer has, built on what was given up, and what only rows tell of: the operator is warned of both.
    const never = new AbortController().signal;
    const leave = (force: boolean) => this.#passing(peer.consensus.keeping.prepareRejoin({ force, signal: never }));
    await leave(false).catch((problem) => {
      if (problem.code !== 'NOT_COVERED') throw problem;
      this.forgone = true;
      return leave(true);
    });
    await this.#restart(peer, memoryStorage({ tables: crdtTestTables, flush: 'auto' }));
  }

  /** Time passes until it is done. */
  async #passing(work: Promise<void>): Promise<void> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    done.catch(() => {});
    while (!isDone) await this.pass(100);
    return done;
  }

  settledForks(): number {
    return names.reduce((sum, name) => {
      const rows = [...this.cluster.peer(name).storage.read.range(forksTable)];
      return sum + rows.filter(({ value }) => JSON.parse(Buffer.from(value).toString()).state === 'settled').length;
    }, 0);
  }

  problems(survivors: readonly string[]): string[] {
    const states = new Map(
      names.map((name) => {
        const { storage, pinset } = this.cluster.peer(name);
        return [name, stateOf(storage.read, pinset)];
      }),
    );
    const history = History.of(states.values());
    const problems = [...states].flatMap(([name, state]) => history.check(name, state));
    // Who was wiped has taken in rows: what no log has any more, no log can be asked for.
    const isGone = [...states.values()].some(({ clock }) => [...clock.values()].some(({ floor }) => floor > 0));
    if (isGone) return this.#losses(survivors);
    return [...new Set([...problems, ...this.#losses(survivors)])];
  }

  #losses(survivors: readonly string[]): string[] {
    if (this.forgone) return [];
    const { pinset } = this.cluster.peer('a');
    return survivors.filter((name) => pinset.get(testKey(name)) === undefined).map((name) => `${name} is lost`);
  }
}

let rejoined = 0;

t.test(
  'stores put back at any moment: nothing that some disk holds is lost, and all agree',
  { timeout: 600_000 },
  async (t) => {
    let forks = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.array(step, { minLength: 10, maxLength: 60 }), async (seedOfWorld, steps) => {
        const world = new World(seedOfWorld);
        try {
          await world.begin();
          for (const one of steps) await world.run(one);
          const survivors = world.survivors();
          const isHealed = await world.healed();
          const statuses = names.map((name) => world.cluster.peer(name).consensus.status());
          if (!isHealed) throw new Error(`not healed: ${JSON.stringify(statuses)}`);
          forks += world.settledForks();
          const problems = world.problems(survivors);
          if (problems.length > 0) throw new Error(problems.join('\n'));
        } finally {
          await world.cluster.stop();
        }
      }),
      { numRuns, interruptAfterTimeLimit: 120_000 },
    );
    t.comment(`${forks} forks settled in the stores at the end, ${rejoined} times a peer had to join anew`);
    t.pass(`${numRuns} worlds`);
  },
);
