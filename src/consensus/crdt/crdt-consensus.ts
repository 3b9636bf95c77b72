import { PinfoldError } from '../../model/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Capabilities, Consensus, ConsensusStatus, Outcome, Position, Request } from '../consensus.ts';
import type { Repair } from '../repair.ts';
import { Acknowledger } from './acknowledger.ts';
import { Alerts } from './alerts.ts';
import { changedSince } from './changed-since.ts';
import { Committer } from './committer.ts';
import { CLOCK_ENTRIES_MAX } from './constants.ts';
import type { Clock as Covered } from './core/clocks.ts';
import { decodePosition } from './core/position.ts';
import type { SyncNews } from './core/rebuild-need.ts';
import type { CrdtInit, CrdtNeeds } from './crdt-needs.ts';
import { Forks, type KeptStore } from './forks/forks.ts';
import { BatchTalk } from './gossip.ts';
import { crdtHandlers } from './handlers.ts';
import { Intake } from './intake.ts';
import { LevelWaits } from './level-waits.ts';
import { Meeting } from './meeting.ts';
import { type CrdtMetrics, crdtMetrics } from './metrics.ts';
import { Neighbours } from './neighbours.ts';
import type { CrdtHandlers } from './peer-calls.ts';
import { PeerViews } from './peer-views.ts';
import { Entrance } from './rebuild/entrance.ts';
import { RangeServer } from './rebuild/range-server.ts';
import { RebuildWatch } from './rebuild/rebuild-watch.ts';
import { Rebuilder } from './rebuild/rebuilder.ts';
import { StoreCare } from './repair/store-care.ts';
import { skewed } from './skewed.ts';
import { readRemembered } from './state/idempotency.ts';
import { CrdtStore } from './state/store.ts';
import { Followers } from './sync/followers.ts';
import { News } from './sync/news.ts';
import { Puller } from './sync/puller.ts';
import { SyncServer } from './sync/sync-server.ts';
import { trustOfAll } from './trust/trust.ts';
import { TrustKeeper } from './trust/trust-keeper.ts';
import { trustedCalls } from './trust/trusted-calls.ts';
import { Upkeep } from './upkeep.ts';
import { writeRefusal } from './write-refusal.ts';

export interface CrdtConsensus extends Consensus {
  /** The methods of the peer RPC that it serves. To be given to the network before it starts. */
  readonly handlers: CrdtHandlers;
  readonly keeping: KeptStore;
}

/**
 * The CRDT consensus (docs/protocol.md). To be made before the network starts (it subscribes to gossip), and started
 * after storage and pinset.
 */
export function crdtConsensus(init: CrdtInit, needs: CrdtNeeds): CrdtConsensus {
  return new ReplicatedMap(init, needs);
}

const capabilities: Capabilities = {
  name: 'crdt',
  hasLeader: false,
  writesInMinority: true,
  linearizableReads: false,
  conditionScope: 'observed',
  levels: ['durable', 'replicated'],
};

class ReplicatedMap implements CrdtConsensus {
  readonly capabilities = capabilities;
  readonly handlers: CrdtHandlers;
  readonly repair: Repair;
  readonly waitLevel: Consensus['waitLevel'] = async (...wait) => await this.#levels.wait(...wait);
  readonly levelRefusal: Consensus['levelRefusal'] = (level) => this.#levels.refusal(level);
  readonly keeping: KeptStore;
  readonly #init: CrdtInit;
  readonly #needs: CrdtNeeds;
  readonly #metrics: CrdtMetrics;
  readonly #logger: Logger;
  readonly #alerts: Alerts;
  readonly #views = new PeerViews();
  readonly #store: CrdtStore;
  readonly #news: News;
  readonly #intake: Intake;
  readonly #committer: Committer;
  readonly #talk: BatchTalk;
  readonly #puller: Puller;
  readonly #followers: Followers;
  readonly #meeting: Meeting;
  readonly #rebuilder: Rebuilder;
  readonly #rebuilds: RebuildWatch;
  readonly #entrance: Entrance;
  readonly #keeper: TrustKeeper;
  readonly #care: StoreCare;
  readonly #upkeep: Upkeep;
  readonly #forks: Forks;
  readonly #neighbours: Neighbours;
  readonly #acknowledger: Acknowledger;
  readonly #levels: LevelWaits;
  #phase: ConsensusStatus['phase'] = 'starting';
  #isStopping = false;
  #unsubscribe: (() => void) | undefined;

  constructor(init: CrdtInit, needs: CrdtNeeds) {
    this.#init = init;
    this.#needs = needs;
    this.#logger = needs.logger.child('crdt');
    this.#metrics = crdtMetrics(needs.metrics);
    this.#alerts = new Alerts(needs.clock, this.#logger);
    const { peerId } = needs.network;
    const trust = needs.trust ?? trustOfAll(needs);
    const isTrusted = (peer: string) => trust.isTrusted(peer);
    const rpc = trustedCalls(needs.network.rpc, isTrusted);
    this.#store = new CrdtStore({ ...needs, logger: this.#logger, peerId });
    this.#news = new News(this.#store.replicas, needs.clock);
    const seen = { logger: this.#logger, metrics: this.#metrics, alerts: this.#alerts, views: this.#views };
    this.#neighbours = new Neighbours({ ...needs, trust, views: this.#views });
    const sources = () => this.#neighbours.sources();
    const parts = { store: this.#store, neighbours: this.#neighbours, rpc, isTrusted, trust };
    const base = { ...needs, ...seen, ...parts, options: init, isFollower: init.follower };
    this.#acknowledger = new Acknowledger({ ...base, rpc: needs.network.rpc });
    const common = { ...base, acknowledger: this.#acknowledger, signatures: this.#store.signatures };
    this.#keeper = new TrustKeeper(common);
    this.#intake = new Intake({
      ...common,
      limits: init,
      // R4: while a shadow stands, what is lacking comes with it.
      onPend: (from) => this.#rebuilder.isBegun || this.#puller.later(from),
      isHeld: () => this.#forks.holdsIntake,
      onFork: (replica, batch, from) => this.#forks.found(replica, batch, from),
      onErred: (replica, reason) => this.#forks.erred(replica, reason),
      onOwnAhead: (from) => this.#forks.ownAhead(this.#store.own, this.#store.own.sequence + 1, from),
      onInvalid: (from, { reason, message }) => {
        this.#metrics.invalid.add(1, { reason, door: 'intake' });
        this.#logger.warn('an invalid batch was dropped', { from, message });
      },
      onRefused: (author, { message }) =>
        this.#alerts.raise('CLOCK_ENTRIES', author, `nothing more is taken of it, nor what rests on that: ${message}`),
    });
    this.#committer = new Committer({
      ...common,
      // What an unknown etag is judged by (6.2).
      isBehind: () => this.#intake.pending.count > 0 || this.#puller.isBusy || this.#news.isLacking,
      unseenBy: (author) => trust.unseen(author).unseenBy,
      isHeld: () => this.#forks.holdsWrites,
      publish: (...batch) => this.#talk.publish(...batch),
    });
    this.#talk = new BatchTalk({
      ...common,
      gossip: needs.network.gossip,
      onTurnedAway: (author) => this.#keeper.turnedAway(author),
      isOpen: () => (this.#phase === 'ready' || this.#phase === 'joining') && !this.#isDiskLow(),
      offer: (batch, from) => this.#intake.offer(batch, from),
      onNews: (batch, from) => {
        this.#news.announced(batch);
        this.#puller.later(from);
      },
    });
    const isReady = () => this.#phase === 'ready' && !this.#isDiskLow() && !this.#store.forks.isRewriting;
    const heard = (peer: string, news: SyncNews, floors?: Covered) => this.#heardOfSync(peer, news, floors);
    const broke = (peer: string) => this.#rebuilds.broke(peer);
    const isCut = (peer: string) => this.#rebuilds.isCut(peer);
    const intake = this.#intake;
    this.#puller = new Puller({
      ...common,
      intake,
      news: this.#news,
      sources,
      isOpen: isReady,
      heard,
      broke,
      isCut,
    });
    this.#followers = new Followers({
      ...common,
      intake,
      sources: () => sources().filter((peer) => !isCut(peer)),
      isOpen: isReady,
      heard,
      broke,
    });
    this.#rebuilder = new Rebuilder({
      ...common,
      isOpen: () => !this.#isDiskLow() && !this.#store.forks.isRewriting,
      freeDiskBytes: () => needs.freeDiskBytes?.() ?? Number.POSITIVE_INFINITY,
      sources: () => sources().filter((peer) => this.#views.get(peer)?.isEmpty === false),
      onClock: (from, clock) => this.#meeting.heardClock(from, clock),
    });
    this.#upkeep = new Upkeep({ ...common, intake, rebuilder: this.#rebuilder });
    this.#rebuilds = new RebuildWatch({
      ...common,
      rebuilder: this.#rebuilder,
      alerts: this.#alerts,
      sources,
      isOpen: isReady,
      onRebuilt: () => this.#rebuilt(),
    });
    const knowsOthers = () => init.bootstrap.length > 0 || init.knowsOthers === true;
    this.#entrance = new Entrance({
      ...common,
      rebuilder: this.#rebuilder,
      isFirst: () => !knowsOthers(),
      reached: () => this.#neighbours.reached(),
      view: (peer) => this.#views.get(peer),
      onReady: () => this.#ready(),
    });
    this.#forks = new Forks({
      ...common,
      tell: needs.network.rpc,
      intake: this.#intake,
      isConnected: (peer) => needs.network.connected().includes(peer),
      reached: () => this.#neighbours.reached(),
      knowsOthers,
      isWriting: () => this.#committer.isBusy,
      written: () => this.#committer.idle().then(() => needs.storage.flushed()),
      resume: () => {
        this.#committer.resume();
        this.#intake.resume();
      },
      discardShadow: () => this.#rebuilder.giveUp('a fork of this peer is mended'),
      publish: (batch, encoded) => this.#talk.publish(batch, encoded, false),
      greet: (peerId) => this.#meeting.greet(peerId),
    });
    this.#care = new StoreCare({
      ...common,
      peerId,
      sources,
      isBusy: () => this.#phase !== 'ready' || this.#rebuilder.isBegun || this.#store.forks.isRewriting,
      discardShadow: () => this.#rebuilder.giveUp('rows of this peer are put right'),
      onRepaired: (peer) => this.#meeting.greet(peer),
    });
    this.repair = this.#care.repair;
    this.#meeting = new Meeting({
      ...common,
      care: this.#care,
      rpc: needs.network.rpc,
      news: this.#news,
      records: needs.hello,
      peers: () => this.#neighbours.connected(),
      rebuilding: () => this.#rebuilder.flushedClock,
      onMet: () => {
        this.#entrance.wake();
        this.#followers.adjust();
      },
      onBehind: (from) => this.#puller.later(from),
      onOwnAhead: (replica, sequence, from) => this.#forks.ownAhead(replica, sequence, from),
      onFork: (replica, from, sequence) => this.#forks.toldByClock(replica, from, sequence),
      onCompared: (peerId, clock, signal) => this.#forks.compared(peerId, clock, signal),
      onDouble: (from) => this.#forks.toldOfDouble(from),
      hidesRows: () => this.#forks.hidesRows,
    });
    this.#levels = new LevelWaits({ ...common, ask: (peerId) => this.#meeting.ask(peerId) });
    this.keeping = this.#forks.keeping(() => this.#checkOpen());
    this.handlers = crdtHandlers({
      meeting: this.#meeting,
      syncs: new SyncServer({ ...common, onClock: (...heard) => this.#meeting.heardClock(...heard) }),
      ranges: new RangeServer(this.#store, init.rangesServedMax),
      repair: this.#care.handlers,
      onUntrusted: (from, report) => this.#keeper.reported(from, report),
      forks: this.#forks,
      checkOpen: () => this.#checkOpen(),
    });
  }

  async start(): Promise<void> {
    await this.#store.open();
    await this.#forks.resume();
    const { network } = this.#needs;
    this.#unsubscribe = network.onConnection((peerId, up) => this.#connection(peerId, up));
    const parts = { intake: this.#intake, followers: this.#followers, meeting: this.#meeting };
    this.#keeper.start({ ...parts, onChange: () => this.#entrance.wake() });
    this.#phase = 'joining';
    this.#entrance.start();
    this.#forks.start();
    this.#meeting.start();
    this.#upkeep.start();
    this.#care.start();
  }

  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    await this.#upkeep.stop();
    this.#unsubscribe?.();
    await this.#forks.stop();
    if (this.#forks.holdsWrites) this.#committer.refuse(new PinfoldError('SHUTTING_DOWN', 'this peer is stopping'));
    if (this.#forks.holdsIntake) this.#intake.drop();
    await this.#committer.idle();
    this.#levels.stop();
    this.#acknowledger.stop();
    await this.#keeper.stop();
    await Promise.all([
      this.#meeting.stop(),
      this.#care.stop(),
      this.#puller.stop(),
      this.#followers.stop(),
      this.#entrance.stop(),
      this.#rebuilds.stop(),
    ]);
    await this.#intake.stop();
    if (this.#store.failure === undefined) await this.#needs.storage.flushed();
    this.#phase = 'stopped';
  }

  commit(requests: readonly Request[], { signal }: { signal: AbortSignal }): Promise<Outcome[]> {
    if (this.#isStopping) return Promise.reject(new PinfoldError('SHUTTING_DOWN', 'this peer is stopping'));
    if (this.#store.failure !== undefined) return Promise.reject(this.#store.failure);
    const error = this.refusal();
    if (error !== undefined) return Promise.resolve(requests.map(() => ({ ok: false, error })));
    return this.#committer.commit(requests, signal);
  }

  async streamDecided(stream: Uint8Array): Promise<number> {
    const decided = this.#store.live(readRemembered(this.#needs.storage.read, stream))?.decided ?? 0;
    // F1: what the client is told was decided must not be lost with power.
    if (decided > 0) await this.#needs.storage.flushed();
    return decided;
  }

  covers(position: Position): boolean {
    return decodePosition(position).every((entry) => this.#store.replicas.flushedCovers(entry));
  }

  get history(): Uint8Array {
    return this.#store.own.rid;
  }

  flushedPosition(revision: number): Position | undefined {
    return this.#store.revisions.position(revision);
  }

  changedSince(position: Position) {
    return changedSince(this.#store, position);
  }

  /** C4. */
  refusal(): PinfoldError | undefined {
    const own = writeRefusal({
      isStopping: this.#isStopping,
      isFollower: this.#init.follower,
      phase: this.#phase,
      isClockFull:
        this.#phase === 'ready' && this.#store.own.sequence === 0 && this.#store.replicas.entries >= CLOCK_ENTRIES_MAX,
      isDiskLow: this.#isDiskLow(),
    });
    const earlier = own ?? this.#forks.refusal();
    if (earlier !== undefined) return earlier;
    return this.#keeper.refusal() ?? skewed(this.#views, this.#alerts, this.#needs, this.#init.clockSkewMaxMs);
  }

  status(): ConsensusStatus {
    this.#keeper.look();
    const upkeep = this.#upkeep;
    return {
      phase: this.#phase,
      rebuild: this.#rebuilder.status,
      get log() {
        return upkeep.logStatus;
      },
      leader: undefined,
      alerts: this.#alerts.all(),
    };
  }

  #isDiskLow(): boolean {
    return this.#needs.isDiskLow?.() ?? false;
  }

  #connection(peerId: string, up: boolean): void {
    // Also one that is not trusted: it may know whom the others trust (T4), and must hear whom this peer does.
    if (up) this.#meeting.greet(peerId);
    if (up) return;
    this.#followers.left(peerId);
    this.#entrance.wake();
  }

  #ready(): void {
    if (this.#isStopping) return;
    this.#phase = 'ready';
    this.#rebuilds.start();
    this.#followers.adjust();
    for (const peerId of this.#neighbours.reached()) this.#puller.later(peerId);
  }

  #heardOfSync(peerId: string, news: SyncNews, floors?: Covered): void {
    const isFirst = news === 'full-needed' && this.#store.replicas.isEmpty && this.#phase === 'ready';
    if (isFirst) {
      // Nothing was written here yet: there is nothing to wait for.
      this.#phase = 'joining';
      this.#entrance.join();
    } else this.#rebuilds.heard(peerId, news, floors);
  }

  #rebuilt(): void {
    this.#intake.clockMoved();
    this.#ready();
  }

  #checkOpen(): void {
    if (this.#phase === 'starting') throw new PinfoldError('PEER_UNREACHABLE', 'this peer is starting');
    if (this.#isStopping) throw new PinfoldError('SHUTTING_DOWN', 'this peer is stopping');
  }
}
