import { create } from '@bufbuild/protobuf';
import type { SignedForgotten, SignedMetrics, SignedPeerRecord } from '../../../gen/pinfold/peer/v1/record_pb.ts';
import {
  GetClockRequestSchema,
  type GetClockResponse,
  GetClockResponseSchema,
  type Hello,
  HelloRequestSchema,
  type HelloResponse,
  HelloResponseSchema,
  HelloSchema,
} from '../../../gen/pinfold/peer/v1/service_pb.ts';
import { byteString, equalBytes } from '../../model/bytes.ts';
import { deadlineSignal } from '../../runtime/abort.ts';
import type { Clock, Timer, Timers } from '../../runtime/clock.ts';
import { jittered } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Random } from '../../runtime/random.ts';
import type { Alerts } from './alerts.ts';
import { clockEntry, flushedClock, type HeardEntry, readClock } from './codec/clock-entries.ts';
import {
  CLOCK_ENTRIES_ALERT,
  DUPLICATE_IDENTITY_MS,
  DUPLICATE_PROBE_MS,
  HELLO_JITTER,
  HELLO_TIMEOUT_MS,
  PROTOCOL_LEVEL,
} from './constants.ts';
import type { CrdtMetrics } from './metrics.ts';
import type { CrdtOptions } from './options.ts';
import { only, type PeerCalls } from './peer-calls.ts';
import type { PeerViews } from './peer-views.ts';
import type { StoreCare } from './repair/store-care.ts';
import type { Replica } from './state/replicas.ts';
import type { CrdtStore } from './state/store.ts';
import type { News } from './sync/news.ts';
import type { Trust } from './trust/trust.ts';

/** Records and metrics of the members, exchanged with each Hello; the monitor is one. */
export interface HelloRecords {
  forHello(): { records: SignedPeerRecord[]; metrics: SignedMetrics[]; forgotten?: SignedForgotten[] };
  receive(
    records: readonly SignedPeerRecord[],
    metrics: readonly SignedMetrics[],
    from: string,
    forgotten: readonly SignedForgotten[],
  ): void;
}

export interface MeetingNeeds {
  options: Pick<CrdtOptions, 'antiEntropyIntervalMs'>;
  store: CrdtStore;
  rpc: PeerCalls;
  views: PeerViews;
  news: News;
  alerts: Alerts;
  care: Pick<StoreCare, 'equal' | 'diverged'>;
  records: HelloRecords;
  trust: Pick<Trust, 'own' | 'forHello' | 'receive'>;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
  metrics: CrdtMetrics;
  isFollower: boolean;
  /** Reachable peers, in random order. */
  peers(): string[];
  isTrusted(peerId: string): boolean;
  /** While a shadow stands: C'. */
  rebuilding(): { rid: Uint8Array; sequence: number; hash: Uint8Array }[];
  /** A peer said Hello; also when nothing differs. */
  onMet(peerId: string): void;
  /** A peer has what this one lacks. */
  onBehind(peerId: string): void;
  /** N3: another peer knows more of an own replica than this store. */
  onOwnAhead(replica: Replica, sequence: number, from: string): void;
  /** Another peer says that it has another history of that replica. */
  onFork(replica: Replica, from: string, sequence: number): void;
  /** This peer has said Hello to that one, and exchanged clocks if they differed. */
  onCompared(peerId: string, clock: readonly HeardEntry[] | undefined, signal: AbortSignal): void;
  /** N5: another peer hears two processes of this identity. */
  onDouble(from: string): void;
  /** The rows are not those of the clock now (N4). */
  hidesRows(): boolean;
}

/** Anti-entropy (4.5): Hello with a random peer every 10 s and on every new connection; unequal clocks are exchanged. */
export class Meeting {
  readonly #needs: MeetingNeeds;
  readonly #bootNonce: Uint8Array;
  readonly #abort = new AbortController();
  readonly #greeting = new Map<string, Promise<void>>();
  readonly #asking = new Map<string, Promise<void>>();
  /** Hellos to come (N5), one for each peer. */
  readonly #probes = new Map<string, Timer>();
  #timer: Timer | undefined;

  constructor(needs: MeetingNeeds) {
    this.#needs = needs;
    this.#bootNonce = needs.random.bytes(8);
  }

  start(): void {
    for (const peerId of this.#needs.peers()) this.greet(peerId);
    this.#again();
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    for (const probe of this.#probes.values()) probe.cancel();
    this.#abort.abort(new Error('stopped'));
    await Promise.all([...this.#greeting.values(), ...this.#asking.values()]);
  }

  /** Says Hello now, once at a time for each peer. */
  greet(peerId: string): void {
    if (this.#greeting.has(peerId) || this.#abort.signal.aborted) return;
    const greeting = this.#greet(peerId).finally(() => this.#greeting.delete(peerId));
    this.#greeting.set(peerId, greeting);
  }

  /** Exchanges clocks now, once at a time for each peer: what it has is heard here, and what it lacks there. */
  ask(peerId: string): void {
    if (this.#asking.has(peerId) || this.#abort.signal.aborted) return;
    const asking = this.#asked(peerId)
      .catch((problem) =>
        this.#needs.logger.debug('a peer did not tell its clock', { peerId, problem: String(problem) }),
      )
      .finally(() => this.#asking.delete(peerId));
    this.#asking.set(peerId, asking);
  }

  async #asked(peerId: string): Promise<void> {
    using scope = deadlineSignal(this.#needs.timers, HELLO_TIMEOUT_MS, this.#abort.signal);
    await this.#exchange(peerId, scope.signal);
  }

  answerHello(hello: Hello | undefined, from: string): HelloResponse {
    if (hello !== undefined) this.#heard(hello, from);
    return create(HelloResponseSchema, { hello: this.#hello(from) });
  }

  answerClock(clock: readonly HeardEntry[], from: string): GetClockResponse {
    if (this.heardClock(from, clock)) this.#needs.onBehind(from);
    return create(GetClockResponseSchema, { clock: flushedClock(this.#needs.store.replicas.sorted()) });
  }

  #again(): void {
    const { timers, random, options } = this.#needs;
    this.#timer = timers.after(jittered(random, options.antiEntropyIntervalMs, HELLO_JITTER), () => {
      this.#round();
      this.#again();
    });
  }

  /** With a trusted peer; and with one that is not, which has records and trust lists to tell (T4). */
  #round(): void {
    const peers = this.#needs.peers();
    for (const isTrusted of [true, false]) {
      const peerId = peers.find((peer) => this.#needs.isTrusted(peer) === isTrusted);
      if (peerId !== undefined) this.greet(peerId);
    }
  }

  async #greet(peerId: string): Promise<void> {
    const { rpc, metrics, logger, timers, onCompared } = this.#needs;
    const limit = new AbortController();
    const timer = timers.after(HELLO_TIMEOUT_MS, () => limit.abort(new Error('no answer to Hello')));
    const signal = AbortSignal.any([limit.signal, this.#abort.signal]);
    try {
      const request = create(HelloRequestSchema, { hello: this.#hello(peerId) });
      const { hello } = await only(rpc.call(peerId, 'hello', [request], { signal }));
      metrics.hellos.add(1, { result: 'answered' });
      if (hello === undefined) return;
      this.#heard(hello, peerId);
      if (!this.#needs.isTrusted(peerId)) return; // T3: only records and trust lists are anyone's to tell.
      const isEqual = equalBytes(hello.clockHash, this.#needs.store.replicas.flushedHash());
      onCompared(peerId, isEqual ? undefined : await this.#exchange(peerId, signal), this.#abort.signal);
    } catch (problem) {
      metrics.hellos.add(1, { result: 'failed' });
      if (!this.#abort.signal.aborted) logger.debug('a Hello failed', { peerId, problem: String(problem) });
    } finally {
      timer.cancel();
    }
  }

  async #exchange(peerId: string, signal: AbortSignal): Promise<HeardEntry[]> {
    const { rpc, store, onBehind } = this.#needs;
    const request = create(GetClockRequestSchema, { clock: flushedClock(store.replicas.sorted()) });
    const { clock } = await only(rpc.call(peerId, 'getClock', [request], { signal }));
    const theirs = readClock(clock);
    if (this.heardClock(peerId, theirs)) onBehind(peerId);
    return theirs;
  }

  #hello(to: string): Hello {
    const { store, records, trust, isFollower, rebuilding, views } = this.#needs;
    return create(HelloSchema, {
      rid: store.own.rid,
      incarnation: Buffer.from(store.own.incarnation).readBigUInt64BE(),
      bootNonce: this.#bootNonce,
      wallTimeMs: BigInt(Math.max(0, Math.floor(store.needs.clock.nowMs()))),
      clockHash: store.replicas.flushedHash(),
      digestRoot: this.#digestRoot(),
      level: PROTOCOL_LEVEL,
      follower: isFollower,
      rebuilding: rebuilding().map(({ rid, sequence, hash }) => clockEntry(rid, sequence, hash)),
      empty: store.replicas.isFlushedEmpty,
      trustHash: trust.own.hash,
      trustLists: trust.forHello(),
      duplicate: views.isDouble(to, store.needs.clock.monotonicMs()),
      ...records.forHello(),
    });
  }

  /** The digest is of what is queued: it may be told only while that is the flushed state (F1). */
  #digestRoot(): Uint8Array {
    const { store, hidesRows } = this.#needs;
    if (!store.replicas.isFlushed || hidesRows()) return new Uint8Array(0);
    return store.needs.pinset.digest.root();
  }

  #heard(hello: Hello, from: string): void {
    const { views, records, trust, store, onMet, onDouble, isTrusted } = this.#needs;
    records.receive(hello.records, hello.metrics, from, hello.forgotten);
    trust.receive(hello.trustLists);
    if (!isTrusted(from)) return;
    const process = views.heard({
      peerId: from,
      ridText: byteString(hello.rid),
      boot: byteString(hello.bootNonce),
      isEmpty: hello.empty,
      isFollower: hello.follower,
      level: hello.level,
      offsetMs: Number(hello.wallTimeMs) - store.needs.clock.nowMs(),
      heardMs: store.needs.clock.monotonicMs(),
    });
    this.#heardProcess(process, from);
    if (hello.duplicate) onDouble(from);
    store.acks.met(from, hello.bootNonce, readClock(hello.rebuilding));
    if (equalBytes(hello.clockHash, store.replicas.flushedHash())) this.#heardEqual(from);
    this.#compare(hello, from);
    onMet(from);
  }

  /** N5. Another process than before may be a restart, or a second one: then the first answers when it is asked. */
  #heardProcess(process: 'same' | 'other' | 'two', from: string): void {
    const { alerts } = this.#needs;
    if (process === 'other') this.#probe(from);
    if (process !== 'two') return;
    const message = 'two processes use the identity of this peer: stop one of the two';
    alerts.raise('DUPLICATE_IDENTITY', from, message, DUPLICATE_IDENTITY_MS);
  }

  #probe(peerId: string): void {
    if (this.#abort.signal.aborted) return;
    this.#probes.get(peerId)?.cancel();
    const probe = this.#needs.timers.after(DUPLICATE_PROBE_MS, () => {
      this.#probes.delete(peerId);
      this.greet(peerId);
    });
    this.#probes.set(peerId, probe);
  }

  /** Its clock is this one's: it has all that is flushed here. */
  #heardEqual(from: string): void {
    const { store } = this.#needs;
    const entries = store.replicas.sorted().map(({ rid, flushedSequence }) => ({ rid, sequence: flushedSequence }));
    store.acks.heard(
      from,
      entries.filter(({ sequence }) => sequence > 0),
    );
  }

  /** Section 8: equal clocks, unequal digests. */
  #compare({ clockHash, digestRoot }: Hello, from: string): void {
    const { store, alerts, care } = this.#needs;
    if (!equalBytes(clockHash, store.replicas.flushedHash())) return;
    alerts.clear('REBUILD_NEEDED', from);
    const own = this.#digestRoot();
    if (own.length === 0 || digestRoot.length === 0) return;
    if (equalBytes(own, digestRoot)) care.equal(from);
    else care.diverged(from);
  }

  /** A clock is news, and says whether there was a fork, or this store was rolled back. True: it has what is lacking here. */
  heardClock(from: string, clock: readonly HeardEntry[], isShadow = false): boolean {
    const { store, news, isTrusted, alerts } = this.#needs;
    if (!isTrusted(from)) return false;
    let isAhead = false;
    const agreed: HeardEntry[] = [];
    for (const entry of clock) {
      const ridText = byteString(entry.rid);
      const known = store.replicas.taken(ridText);
      const isMore = entry.sequence > (known?.sequence ?? 0);
      isAhead ||= isMore;
      if (isMore) news.heard(ridText, entry.rid, entry.sequence);
      if (this.#agrees(from, entry, known)) agreed.push(entry);
    }
    // Of a history that is another nothing is acknowledged, and by a shadow nothing at all (fault ack-from-shadow).
    if (!isShadow) store.acks.heard(from, agreed);
    if (clock.length >= CLOCK_ENTRIES_ALERT)
      alerts.raise('CLOCK_ENTRIES', from, `its clock has ${clock.length} entries`);
    return isAhead;
  }

  #agrees(from: string, entry: HeardEntry, known: Replica | undefined): boolean {
    const { store, onOwnAhead, onFork } = this.#needs;
    const { sequence } = entry;
    if (known === undefined) return true;
    if (sequence > known.sequence) {
      if (!store.isOwn(known)) return true;
      onOwnAhead(known, sequence, from);
      return false;
    }
    if (!this.#isOther(entry, known)) return true;
    onFork(known, from, sequence);
    return false;
  }

  /** A clock ends where a batch does (I9): one that ends elsewhere, or in another batch, is of another history. */
  #isOther({ sequence, hashPrefix }: HeardEntry, known: Replica): boolean {
    if (hashPrefix.length === 0 || sequence > known.flushedSequence) return false;
    return this.#needs.store.endsWith(known, sequence, hashPrefix) === false;
  }
}
