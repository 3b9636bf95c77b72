import { hash } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type RecordsMessage,
  RecordsMessageSchema,
  type SignedForgotten,
  type SignedMetrics,
  type SignedPeerRecord,
} from '../../gen/pinfold/peer/v1/record_pb.ts';
import type { IpfsNodeId } from '../ipfs/connector.ts';
import type { Network } from '../network/network.ts';
import { type Clock, jittered, type Timers } from '../runtime/clock.ts';
import type { Signer } from '../runtime/ed25519.ts';
import type { Logger } from '../runtime/logger.ts';
import type { MetricsRegister } from '../runtime/metrics.ts';
import type { Random } from '../runtime/random.ts';
import type { Storage } from '../storage/storage.ts';
import { AlertBoard } from './alert-board.ts';
import {
  CHECK_INTERVAL_MS,
  FORGET_AFTER_MS,
  FORGOTTEN_MAX,
  HEARD_SAVE_INTERVAL_MS,
  MEMBERS_MAX,
  RECORDS_MESSAGE_BYTES_MAX,
} from './constants.ts';
import { ForgottenMembers } from './forgotten-members.ts';
import { type HelloWords, wordsForHello } from './hello-words.ts';
import type { Informer } from './informers.ts';
import { MemberTable } from './member-table.ts';
import {
  areMetricsValid,
  countHealth,
  healthOf,
  type MemberEntry,
  memberEntry,
  memberOf,
  RunningTime,
} from './members.ts';
import { type MonitorMetrics, monitorMetrics } from './metrics.ts';
import type { Alert, Health, Member, Monitor, MonitorChange } from './monitor.ts';
import { OwnWord } from './own-word.ts';
import { Readings } from './readings.ts';
import {
  isMetricsSigned,
  isRecordSigned,
  type MetricValue,
  type OpenedMetrics,
  type OpenedRecord,
  openMetrics,
  openRecord,
} from './records.ts';
import { Verifications } from './verifications.ts';
import { Versions } from './versions.ts';
import { WallClockWatch } from './wall-clock-watch.ts';

export interface MonitorInit {
  /** At most 256 bytes. */
  name: string;
  software: string;
  follower: boolean;
  /** Highest protocol level that this peer speaks. */
  level: number;
  /** SHA-256 of the sorted trusted peer IDs; empty: it trusts all. */
  trustHash(): Uint8Array;
  /** What this peer measures is valid for so long, ms; it is published twice in that time. */
  metricsTtlMs: number;
}

export interface MonitorNeeds {
  /** Opened with `monitorTables`. */
  storage: Pick<Storage, 'read' | 'transaction'>;
  network: Pick<Network, 'peerId' | 'addresses' | 'connected' | 'onConnection' | 'remember' | 'forget' | 'gossip'>;
  /** Whose word removes a member. Default: everyone's. */
  isTrusted?(peerId: string): boolean;
  signer: Signer;
  informers: readonly Informer[];
  /** The IPFS node beside this peer; undefined (or a rejection) when it does not answer. */
  ipfsId: (options: { signal: AbortSignal }) => Promise<IpfsNodeId | undefined>;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
  metrics: MetricsRegister;
}

type Verdict = 'accept' | 'ignore' | 'reject';

/** Where a record or a metric came from: gossip is its author's fresh word, a Hello may be the memory of others. */
interface Delivery {
  from: string;
  live: boolean;
}

/** A monitor that learns by gossip and Hello. Construct it before the network starts; `start` it after. */
export function monitor(init: MonitorInit, needs: MonitorNeeds): Monitor {
  return new GossipMonitor(init, needs);
}

class GossipMonitor implements Monitor {
  readonly #init: MonitorInit;
  readonly #needs: MonitorNeeds;
  readonly #table: MemberTable;
  readonly #alerts: AlertBoard;
  readonly #metrics: MonitorMetrics;
  readonly #own: OwnWord;
  readonly #forgotten: ForgottenMembers;
  readonly #members = new Map<string, MemberEntry>();
  readonly #listeners = new Set<(change: MonitorChange) => void>();
  readonly #verifications = new Verifications();
  readonly #running: RunningTime;
  readonly #wallClock: WallClockWatch;
  readonly #underWay = new Set<Promise<void>>();
  readonly #stopListening: () => void;
  #cancelCheck: () => void = () => {};
  #stopped = false;

  constructor(init: MonitorInit, needs: MonitorNeeds) {
    const { clock, network } = needs;
    this.#init = init;
    this.#needs = needs;
    this.#table = new MemberTable(needs.storage);
    this.#alerts = new AlertBoard({
      ...needs,
      onChange: (alert, raised) => this.#emit({ kind: 'alert', alert, raised }),
      onFull: () => this.#metrics.limited.add(1, { limit: 'alerts' }),
    });
    this.#metrics = monitorMetrics(needs.metrics, {
      health: () => countHealth(this.#members.values()),
      forgotten: () => this.#forgotten.size,
    });
    const versions = new Versions(clock, this.#table);
    const readings = new Readings(needs.informers, { ...needs, metrics: this.#metrics });
    this.#own = new OwnWord(init, {
      ...needs,
      versions,
      readings,
      onRecord: (record) => this.#installOwnRecord(record),
      onMetrics: (metrics) => this.#installOwnMetrics(metrics),
      publish: (message) => this.#publish(message),
    });
    this.#running = new RunningTime(clock.monotonicMs(), 3 * CHECK_INTERVAL_MS);
    this.#wallClock = new WallClockWatch(clock, needs.logger);
    this.#forgotten = new ForgottenMembers({
      ...needs,
      peerId: needs.signer.peerId,
      isTrusted: (peerId) => needs.isTrusted?.(peerId) ?? true,
      record: (peerId) => this.#members.get(peerId)?.record,
      mayVerify: (from) => this.#mayVerify(from),
      onForgotten: (peerId, by) => this.#drop(peerId, by),
      onSelf: (version) => this.#own.exceed(version),
      inBackground: (work, failure) => this.#inBackground(work, failure),
    });
    // Now, not at `start`: a Hello may come before, and what is on the disk must be known when it does.
    this.#load();
    network.gossip.subscribe('records', {
      id: (message) => hash('sha256', message, 'buffer'),
      receive: (message, from) => this.#receiveGossip(message, from),
    });
    this.#stopListening = network.onConnection((peerId, up) => this.#onConnection(peerId, up));
  }

  async start(): Promise<void> {
    await this.#own.start(this.#members.get(this.#needs.signer.peerId)?.record);
    if (!this.#stopped) this.#scheduleCheck();
  }

  renew(): Promise<void> {
    return this.#own.renew();
  }

  setDraining(draining: boolean): Promise<void> {
    return this.#own.setDraining(draining);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelCheck();
    this.#stopListening();
    await this.#own.stop();
    await Promise.all(this.#underWay);
  }

  members(): Member[] {
    const { peerId } = this.#needs.signer;
    const nowMs = this.#needs.clock.monotonicMs();
    return [...this.#members]
      .sort(([a], [b]) => Number(b === peerId) - Number(a === peerId) || (a < b ? -1 : 1))
      .map(([id, entry]) => memberOf(entry, id === peerId, nowMs));
  }

  member(peerId: string): Member | undefined {
    const entry = this.#members.get(peerId);
    return entry && memberOf(entry, peerId === this.#needs.signer.peerId, this.#needs.clock.monotonicMs());
  }

  isMember(peerId: string): boolean {
    return this.#members.has(peerId);
  }

  /** Of members that are not down. */
  metric(name: string): { peerId: string; value: MetricValue }[] {
    const nowMs = this.#needs.clock.monotonicMs();
    const values: { peerId: string; value: MetricValue }[] = [];
    for (const [peerId, entry] of this.#members) {
      const value = entry.metrics?.opened.values.get(name);
      if (value !== undefined && entry.health !== 'down' && areMetricsValid(entry, nowMs))
        values.push({ peerId, value });
    }
    return values.sort((a, b) => (a.peerId < b.peerId ? -1 : 1));
  }

  alerts(): Alert[] {
    return this.#alerts.list();
  }

  onChange(listener: (change: MonitorChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  raise(alert: Omit<Alert, 'sinceMs'>): void {
    this.#alerts.raise(alert);
  }

  clear(kind: string, peerId: string): void {
    this.#alerts.clear(kind, peerId);
  }

  forHello(): HelloWords {
    const { signer, clock, random } = this.#needs;
    const forgotten = this.#forgotten.forHello();
    return wordsForHello(this.#members, signer.peerId, clock.monotonicMs(), random, forgotten);
  }

  async forget(peerId: string): Promise<boolean> {
    const { signer } = this.#needs;
    const known = this.#members.get(peerId);
    if (known === undefined || peerId === signer.peerId) return false;
    const value = await this.#forgotten.add(signer, known.record);
    this.#publish({ case: 'forgotten', value });
    return true;
  }

  receive(
    records: readonly SignedPeerRecord[],
    metrics: readonly SignedMetrics[],
    from: string,
    forgotten: readonly SignedForgotten[] = [],
  ): void {
    if (this.#stopped) return;
    for (const signed of forgotten.slice(0, FORGOTTEN_MAX)) this.#takeForgotten(signed, { from, live: false });
    for (const signed of records.slice(0, MEMBERS_MAX)) this.#takeRecord(signed, { from, live: false });
    for (const signed of metrics.slice(0, MEMBERS_MAX)) this.#takeMetrics(signed, { from, live: false });
    this.heard(from);
  }

  heard(peerId: string): void {
    const entry = this.#members.get(peerId);
    if (entry === undefined || peerId === this.#needs.signer.peerId) return;
    entry.heardMs = this.#needs.clock.nowMs();
    entry.aliveMs = this.#running.nowMs;
    this.#setHealth(peerId, entry, 'up');
  }

  #load(): void {
    const { rows, damaged } = this.#table.load();
    let left = damaged;
    for (const { peerId, signed, heardMs } of rows) {
      const record = openRecord(signed);
      // Checked once more: a damaged row must not speak for a member.
      if (record === undefined || record.peerId !== peerId || !isRecordSigned(record)) left++;
      else this.#addMember(record, heardMs);
    }
    if (left > 0)
      this.#needs.logger.warn('damaged records of members were left out; they come again by gossip', { rows: left });
  }

  #addMember(record: OpenedRecord, savedHeardMs: number): MemberEntry {
    const entry = memberEntry(record, savedHeardMs, this.#running.nowMs, this.#needs.clock.monotonicMs());
    // A peer never waits to hear of itself, also when its record is still the one from before a restart.
    if (record.peerId === this.#needs.signer.peerId) entry.health = 'up';
    this.#members.set(record.peerId, entry);
    this.#remember(record);
    return entry;
  }

  #remember({ peerId, record }: OpenedRecord): void {
    if (peerId === this.#needs.signer.peerId || record.addresses.length === 0) return;
    const addresses = record.addresses.map((address) => `${address}/p2p/${peerId}`);
    this.#needs.network.remember(peerId, addresses);
  }

  #receiveGossip(message: Uint8Array, from: string): Verdict {
    if (this.#stopped) return 'ignore';
    this.heard(from);
    if (message.length > RECORDS_MESSAGE_BYTES_MAX) return this.#judged('unknown', 'reject');
    let decoded: RecordsMessage['message'];
    try {
      decoded = fromBinary(RecordsMessageSchema, message).message;
    } catch {
      return this.#judged('unknown', 'reject');
    }
    // A kind that a later version has: not ours to judge.
    if (decoded.case === undefined) return this.#judged('unknown', 'ignore');
    const delivery = { from, live: true };
    if (decoded.case === 'record') return this.#takeRecord(decoded.value, delivery);
    if (decoded.case === 'forgotten') return this.#takeForgotten(decoded.value, delivery);
    return this.#takeMetrics(decoded.value, delivery);
  }

  #takeForgotten(signed: SignedForgotten, delivery: Delivery): Verdict {
    return this.#judged('forgotten', this.#forgotten.judge(signed, delivery));
  }

  #takeRecord(signed: SignedPeerRecord, delivery: Delivery): Verdict {
    const record = openRecord(signed);
    return this.#judged('record', record === undefined ? 'reject' : this.#judgeRecord(record, delivery));
  }

  #judgeRecord(record: OpenedRecord, { from, live }: Delivery): Verdict {
    const { peerId, version } = record;
    const { clock, signer } = this.#needs;
    const known = this.#members.get(peerId);
    if (known !== undefined && version <= known.record.version) return 'ignore';
    if (this.#forgotten.covers(peerId, version)) return 'ignore';
    if (peerId !== signer.peerId && known === undefined && !this.#mayJoin(version, live || from === peerId))
      return 'ignore';
    if (!this.#mayVerify(from)) return 'ignore';
    if (!isRecordSigned(record)) return 'reject';
    if (peerId === signer.peerId) {
      // Said under this identity, and not known here: the store was lost or put back. Speak above it.
      this.#own.exceed(version);
      return 'ignore';
    }
    if (known?.records.take(clock.monotonicMs()) === false) return this.#limited('rate');
    this.#install(record, known, live);
    if (live || from === peerId) this.heard(peerId);
    return 'accept';
  }

  #install(record: OpenedRecord, known: MemberEntry | undefined, live: boolean): void {
    const { peerId, version } = record;
    const nowMs = this.#needs.clock.nowMs();
    this.#forgotten.revived(peerId);
    // Who learns of a member through others believes it was there when it wrote its record.
    const heardMs = live ? nowMs : Math.max(known?.savedHeardMs ?? 0, Math.min(version, nowMs));
    if (known === undefined) this.#addMember(record, heardMs);
    else {
      known.record = record;
      known.savedHeardMs = heardMs;
      this.#remember(record);
    }
    this.#inBackground(
      this.#table.save([{ peerId, signed: record.signed, heardMs }]),
      'saving the record of a member failed',
    );
    this.#emit({ kind: 'record', peerId });
  }

  #mayJoin(version: number, live: boolean): boolean {
    if (this.#members.size >= MEMBERS_MAX) {
      this.#limited('members');
      return false;
    }
    // Of the far future: it would never grow old, and those who forget that member in turn would bring it back for ever.
    return live || Math.abs(this.#needs.clock.nowMs() - version) < FORGET_AFTER_MS;
  }

  #takeMetrics(signed: SignedMetrics, delivery: Delivery): Verdict {
    const metrics = openMetrics(signed);
    return this.#judged('metrics', metrics === undefined ? 'reject' : this.#judgeMetrics(metrics, delivery));
  }

  #judgeMetrics(metrics: OpenedMetrics, { from, live }: Delivery): Verdict {
    const { peerId, version } = metrics;
    const { clock, signer } = this.#needs;
    const known = this.#members.get(peerId);
    if (known === undefined || (known.metrics !== undefined && version <= known.metrics.opened.version))
      return 'ignore';
    if (!this.#mayVerify(from)) return 'ignore';
    if (!isMetricsSigned(metrics)) return 'reject';
    if (peerId === signer.peerId) {
      this.#own.exceed(version);
      return 'ignore';
    }
    if (!known.metricsAllowed.take(clock.monotonicMs())) return this.#limited('rate');
    known.metrics = { opened: metrics, receivedMs: clock.monotonicMs() };
    if (live || from === peerId) this.heard(peerId);
    this.#emit({ kind: 'metrics', peerId });
    return 'accept';
  }

  #mayVerify(from: string): boolean {
    if (this.#verifications.take(from, this.#needs.clock.monotonicMs())) return true;
    this.#limited('verifications');
    return false;
  }

  #judged(kind: 'record' | 'metrics' | 'forgotten' | 'unknown', verdict: Verdict): Verdict {
    this.#metrics.received.add(1, { kind, verdict });
    return verdict;
  }

  #limited(limit: 'members' | 'rate' | 'verifications'): 'ignore' {
    this.#metrics.limited.add(1, { limit });
    return 'ignore';
  }

  #installOwnRecord(record: OpenedRecord): Promise<void> {
    const { peerId } = record;
    const nowMs = this.#needs.clock.nowMs();
    const known = this.#members.get(peerId);
    const entry = known ?? this.#addMember(record, nowMs);
    entry.record = record;
    entry.health = 'up';
    entry.heardMs = nowMs;
    this.#emit({ kind: 'record', peerId });
    return this.#table.save([{ peerId, signed: record.signed, heardMs: nowMs }]);
  }

  #installOwnMetrics(opened: OpenedMetrics): void {
    const entry = this.#members.get(opened.peerId);
    if (entry === undefined) return;
    entry.metrics = { opened, receivedMs: this.#needs.clock.monotonicMs() };
    this.#emit({ kind: 'metrics', peerId: opened.peerId });
  }

  #publish(message: Exclude<RecordsMessage['message'], { case: undefined }>): void {
    const bytes = toBinary(RecordsMessageSchema, create(RecordsMessageSchema, { message }));
    this.#needs.network.gossip.publish('records', bytes);
    this.#metrics.published.add(1, { kind: message.case });
  }

  #onConnection(peerId: string, up: boolean): void {
    if (this.#stopped) return;
    if (!up) {
      this.#verifications.left(peerId);
      return;
    }
    this.heard(peerId);
    this.#own.greet();
  }

  #scheduleCheck(): void {
    const delayMs = jittered(this.#needs.random, CHECK_INTERVAL_MS, 0.05);
    const timer = this.#needs.timers.after(delayMs, () => {
      if (this.#stopped) return;
      this.#check();
      this.#scheduleCheck();
    });
    this.#cancelCheck = () => timer.cancel();
  }

  #check(): void {
    const { clock, signer } = this.#needs;
    const nowMs = clock.nowMs();
    const monotonicMs = clock.monotonicMs();
    this.#running.advance(monotonicMs);
    const isSteady = this.#wallClock.isSteady();
    const own = this.#members.get(signer.peerId);
    if (own !== undefined) own.heardMs = nowMs;
    for (const [peerId, entry] of this.#members) {
      if (peerId === signer.peerId) continue;
      this.#setHealth(peerId, entry, healthOf(entry, this.#running.nowMs, this.#init.metricsTtlMs));
    }
    this.#saveHeard();
    if (isSteady) this.#forget(nowMs);
  }

  #setHealth(peerId: string, entry: MemberEntry, health: Health): void {
    if (entry.health === health) return;
    entry.health = health;
    this.#emit({ kind: 'health', peerId, health });
    if (health === 'up') this.clear('PEER_DOWN', peerId);
    if (health !== 'down') return;
    const seconds = Math.round((this.#running.nowMs - entry.aliveMs) / 1000);
    const name = entry.record.record.name;
    this.raise({
      kind: 'PEER_DOWN',
      peerId,
      message: `${name === '' ? peerId : name} has not been heard for ${seconds} s`,
    });
  }

  #saveHeard(): void {
    const rows = [];
    for (const [peerId, entry] of this.#members) {
      if (entry.heardMs - entry.savedHeardMs < HEARD_SAVE_INTERVAL_MS) continue;
      entry.savedHeardMs = entry.heardMs;
      rows.push({ peerId, signed: entry.record.signed, heardMs: entry.heardMs });
    }
    if (rows.length > 0) this.#inBackground(this.#table.save(rows), 'saving when members were heard failed');
  }

  #forget(nowMs: number): void {
    this.#forgotten.trim();
    const gone = [...this.#members].filter(
      ([, entry]) => entry.health === 'down' && Math.max(entry.heardMs, entry.savedHeardMs) < nowMs - FORGET_AFTER_MS,
    );
    if (gone.length === 0) return;
    const peerIds = gone.map(([peerId]) => peerId);
    for (const peerId of peerIds) this.#leave(peerId);
    this.#needs.logger.info('members not heard for 30 days are no longer listed', {
      peerIds: peerIds.slice(0, 20),
      count: peerIds.length,
    });
    this.#inBackground(this.#table.remove(peerIds), 'removing members failed');
  }

  #drop(peerId: string, by: string): void {
    this.#needs.network.forget(peerId);
    if (!this.#members.has(peerId)) return;
    this.#leave(peerId);
    this.#needs.logger.info('a member was removed', { peerId, by });
  }

  #leave(peerId: string): void {
    this.#members.delete(peerId);
    this.clear('PEER_DOWN', peerId);
    this.#emit({ kind: 'record', peerId });
  }

  #emit(change: MonitorChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#needs.logger.error('a listener of the monitor failed', { error: String(error) });
      }
    }
  }

  #inBackground(work: Promise<void>, failure: string): void {
    const settled = work.catch((error) => this.#needs.logger.error(failure, { error: String(error) }));
    this.#underWay.add(settled);
    void settled.then(() => this.#underWay.delete(settled));
  }
}
