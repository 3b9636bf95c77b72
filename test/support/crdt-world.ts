import type { Op } from '../../src/consensus/consensus.ts';
import { decodePosition } from '../../src/consensus/crdt/core/position.ts';
import type { CrdtInit } from '../../src/consensus/crdt/crdt-needs.ts';
import { lastRevision } from '../../src/pinset/feed.ts';
import { Archive } from './crdt-archive.ts';
import { pinOp, seededRandom, TestCluster, type TestPeer, testKey, unpinOp } from './crdt-peers.ts';
import { History, type StateOfPeer, stateOf } from './crdt-truth.ts';

export type Step =
  | { do: 'write'; peer: number; kind: (typeof kinds)[number]; key: number; flush: boolean }
  | { do: 'flush' | 'commit'; peer: number; count: number }
  | { do: 'time'; ms: number }
  | { do: 'cut' | 'heal'; peer: number; other: number }
  | { do: 'crash'; peer: number }
  | { do: 'join' };

export const kinds = ['pin', 'pin', 'pin', 'unpin', 'unpin', 'amend', 'expire', 'expiring', 'update'] as const;
/** A peer at the check before. */
interface Seen {
  readonly rows: StateOfPeer['rows'];
  readonly revision: number;
}

const names = ['a', 'b', 'c'];
const joiners = ['d', 'e', 'f'];

/** Peers that anything may happen to, and the invariants of docs/protocol.md section 9, checked from outside. */
export class World {
  readonly cluster: TestCluster;
  /** Dots that were acknowledged, by author's name (I4). */
  readonly acknowledged: { name: string; rid: string; sequence: number }[] = [];

  readonly #crdt: Partial<CrdtInit>;
  readonly #seen = new Map<string, Seen>();
  readonly #archive = new Archive();

  constructor(
    seedOfWorld: number,
    { delayMsMax = 10, crdt = {} }: { delayMsMax?: number; crdt?: Partial<CrdtInit> } = {},
  ) {
    this.#crdt = crdt;
    const random = seededRandom(seedOfWorld);
    const delayMs = () => 1 + Math.floor(delayMsMax * random.float());
    this.cluster = new TestCluster(seedOfWorld, undefined, { dropProbability: 0.4, delayMs });
  }

  async begin(): Promise<void> {
    for (const name of names) await this.add(name);
    await this.pass(3_000);
  }

  add(name: string): Promise<TestPeer> {
    return this.cluster.add({ name, flush: 'manual', crdt: this.#crdt });
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
    this.#seen.delete(peer.name);
    this.#archive.crashed(peer.name);
    await peer.crash();
    await this.cluster.pumped(peer, peer.start());
  }

  async join(): Promise<void> {
    const name = joiners.find((one) => !this.cluster.peers.has(one));
    if (name !== undefined) await this.add(name);
  }

  states(): Map<string, StateOfPeer> {
    return new Map(
      [...this.cluster.peers.values()].map((peer) => [peer.name, stateOf(peer.storage.read, peer.pinset)]),
    );
  }

  check(): string[] {
    const states = this.states();
    this.#archive.look(states);
    const history = History.of([...states.values(), ...this.#archive.states()]);
    const problems = [...states].flatMap(([name, state]) => history.check(name, state));
    for (const { name, rid, sequence } of this.acknowledged) {
      const has = states.get(name)?.clock.get(rid)?.sequence ?? 0;
      if (has < sequence) problems.push(`I4: ${name} lacks its acknowledged ${rid.slice(0, 6)} ${sequence}`);
    }
    for (const peer of this.cluster.peers.values()) problems.push(...this.#unnamed(peer, states));
    return [...new Set(problems)];
  }

  /** I12, since the check before. */
  #unnamed(peer: TestPeer, states: Map<string, StateOfPeer>): string[] {
    const state = states.get(peer.name) as StateOfPeer;
    const before = this.#seen.get(peer.name);
    const revision = lastRevision(peer.storage.read);
    this.#seen.set(peer.name, { rows: state.rows, revision });
    const entries = before === undefined ? 'gone' : peer.pinset.feed.read(before.revision, 1_000_000);
    if (before === undefined || entries === 'gone' || entries.some(({ everything }) => everything)) return [];
    const named = new Set(entries.flatMap(({ keys }) => keys.map((key) => Buffer.from(key).toString('hex'))));
    return [...new Set([...state.rows.keys(), ...before.rows.keys()])]
      .filter((key) => JSON.stringify(state.rows.get(key)) !== JSON.stringify(before.rows.get(key)) && !named.has(key))
      .map((key) => `I12: ${peer.name} changed ${key.slice(0, 8)} and its feed does not say so`);
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 250) {
      this.cluster.flush();
      await this.cluster.time.advance(250);
      this.#archive.look(this.states());
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
