import type { Consensus } from '../consensus/consensus.ts';
import { byteString } from '../model/bytes.ts';
import type { CallContext } from '../model/call-context.ts';
import { toV1 } from '../model/cid.ts';
import { PinfoldError } from '../model/errors.ts';
import { isAllocatedTo } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import type { WishStatus } from '../model/status.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { PeerRpc } from '../network/network.ts';
import type { PinFilter, Pinset, StoredPin } from '../pinset/pinset.ts';
import { mergeSignals, type ScopedSignal } from '../runtime/abort.ts';
import { BoundedQueue } from '../runtime/bounded-queue.ts';
import { type Clock, sleep, type Timers } from '../runtime/clock.ts';
import type { MetricsRegister } from '../runtime/metrics.ts';
import type { Random } from '../runtime/random.ts';
import type { Tracker } from '../tracker/tracker.ts';
import { claimStatus, type Named, type PeerPinStatus, wishName } from './claim-status.ts';
import {
  AHEAD_POLL_MS,
  AHEAD_WAIT_MS_MAX,
  ASK_ATTEMPTS,
  ASK_PAUSE_MS,
  ASKS_MAX,
  READER_STALL_MS_MAX,
  TOKEN_INTERVAL_MS,
  WATCH_EVENTS_WAITING_MAX,
  WATCH_READ_MAX,
  WATCHES_MAX,
} from './constants.ts';
import { withinNamespaces } from './listing.ts';
import { watchMember } from './member-watch.ts';
import { askStatuses, type PeerError, peerError } from './peer-statuses.ts';
import { type PinChange, PinChanges } from './pin-changes.ts';
import { PinSelection } from './pin-filter.ts';
import { decodeResumeToken, encodeResumeToken, type StatusPlace, type WatchPlace } from './resume-token.ts';
import { StatusLog } from './status-log.ts';

/**
 * Pins and their statuses on all members: what there is, then every change, from any peer.
 *
 *   - Steps in between may be left out, the last state never is; what was told may be told again.
 *   - The status of a pin may come before the pin itself. A peer of whose status nothing was told has the pin waiting.
 *   - `pinned` says where the pin lies from now on: what was told of other peers is over, as it all is after `unpinned`.
 *   - `unpinned` is told of every pin that goes from the namespaces and CIDs of the filter: what it was called is not known any more.
 *     A pin that no longer matches by name, metadata or creation is told as unpinned, too.
 *
 * Throws INVALID_TOKEN, HISTORY_GONE, LIMIT_REACHED, PEER_UNREACHABLE (the token names what this peer has not seen yet, and
 * did not in time); later HISTORY_GONE (list again) and SLOW_READER (fact `resumeToken`, base64).
 */
export type WatchPins = (query: WatchQuery, call: CallContext) => AsyncIterable<WatchMessage>;

export interface WatchQuery {
  filter: PinFilter;
  resumeToken: Uint8Array | undefined;
  /** Leave out statuses. */
  pinsOnly: boolean;
  /** Begin with changes from now on. */
  changesOnly: boolean;
}

export interface WatchMessage {
  events: WatchEvent[];
  /** Names what was told up to some message before this one, or this one: going on after it misses nothing. */
  resumeToken: Uint8Array | undefined;
  /** Once: what there was when the watch began has been told. */
  caughtUp: boolean;
}

export type WatchEvent =
  | { kind: 'pinned'; stored: StoredPin }
  | { kind: 'unpinned'; cid: Uint8Array; namespace: string }
  | { kind: 'status'; cid: Uint8Array; namespace: string; peer: PeerPinStatus }
  /** Forget what was said of the status on this peer; it comes again. */
  | { kind: 'reset'; peerId: string }
  /** This peer's word is missing from here on; it comes again as a reset. */
  | { kind: 'peer-lost'; error: PeerError };

export interface WatchNeeds {
  peerId: string;
  /** Another one whenever the store of this peer begins anew: revisions of its feeds mean nothing then. */
  storeIncarnation: () => Uint8Array;
  pinset: Pick<Pinset, 'get' | 'claims' | 'list' | 'feed'>;
  consensus: Pick<Consensus, 'flushedPosition' | 'changedSince'>;
  tracker: Pick<Tracker, 'statuses' | 'listIndexed' | 'listAll' | 'recover' | 'feed'>;
  monitor: Pick<Monitor, 'members' | 'member' | 'onChange'>;
  rpc: Pick<PeerRpc, 'call'>;
  clock: Clock;
  timers: Timers;
  random: Random;
  metrics: MetricsRegister;
}

export function watchPins(needs: WatchNeeds): WatchPins {
  const shared = new Shared(needs);
  needs.metrics.gauge({ name: 'pinfold_watches', help: 'Watches of pins that are open' }, (gauge) => {
    gauge.set(shared.watches);
  });
  return async function* (query, call) {
    if (shared.watches >= WATCHES_MAX) {
      throw new PinfoldError('LIMIT_REACHED', `${WATCHES_MAX} watches are open on this peer; ask another one`);
    }
    shared.watches++;
    try {
      yield* new PinWatch(needs, shared, query, call).run();
    } finally {
      shared.watches--;
    }
  };
}

/** What all watches of this peer use together. */
class Shared {
  readonly changes: PinChanges;
  watches = 0;
  readonly #needs: WatchNeeds;
  readonly #logs = new Map<string, StatusLog>();

  constructor(needs: WatchNeeds) {
    this.#needs = needs;
    this.changes = new PinChanges(needs.pinset);
  }

  log(peerId: string): StatusLog {
    // Those without users hold nothing but their name.
    for (const [id, { users }] of this.#logs) if (users === 0) this.#logs.delete(id);
    const known = this.#logs.get(peerId);
    if (known !== undefined) return known;
    const log = new StatusLog(this.#needs, peerId);
    this.#logs.set(peerId, log);
    return log;
  }
}

/** What waits for the reader: events, what is covered once they are told, and marks. */
interface Item {
  events: WatchEvent[];
  pins?: number;
  status?: { peerId: string; place: StatusPlace | undefined };
  caughtUp?: boolean;
  token?: Uint8Array;
}

class PinWatch {
  readonly #needs: WatchNeeds;
  readonly #shared: Shared;
  readonly #query: WatchQuery;
  readonly #call: CallContext;
  readonly #selection: PinSelection;
  readonly #wishes: ReadonlySet<string> | undefined;
  readonly #queue = new BoundedQueue<Item>({
    limit: WATCH_EVENTS_WAITING_MAX,
    sizeOf: ({ events }) => Math.max(1, events.length),
  });
  readonly #scope: ScopedSignal;
  readonly #members = new Map<string, { stop: ScopedSignal; caughtUp: boolean }>();
  readonly #tasks = new Set<Promise<void>>();
  /** Asks under way, with the wishes of which newer word came meanwhile. */
  readonly #asks = new Set<{ peerId: string; overtaken: Set<string> }>();
  /** What was told. */
  readonly #told = { pins: undefined as number | undefined, peers: new Map<string, StatusPlace>(), changed: false };
  #mark: { place: Omit<WatchPlace, 'position'>; bound: number | undefined } | undefined;
  #lastToken: Uint8Array | undefined;
  #pinsListed = false;
  #caughtUp = false;
  #lastReadMs: number;

  constructor(needs: WatchNeeds, shared: Shared, query: WatchQuery, call: CallContext) {
    this.#needs = needs;
    this.#shared = shared;
    this.#query = query;
    this.#call = call;
    const filter = withinNamespaces(query.filter, call);
    this.#selection = new PinSelection(filter);
    this.#wishes = filter.cids && new Set(filter.cids.map(wishName));
    this.#query = { ...query, filter };
    this.#scope = mergeSignals(call.signal);
    this.#lastReadMs = needs.clock.monotonicMs();
  }

  async *run(): AsyncIterable<WatchMessage> {
    const { signal } = this.#scope;
    const onAbort = () => this.#queue.fail(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const resumed = this.#query.resumeToken === undefined ? undefined : decodeResumeToken(this.#query.resumeToken);
      this.#lastToken = this.#query.resumeToken;
      this.#task(() => this.#watchPins(resumed));
      this.#task(() => this.#mintTokens());
      this.#task(() => this.#watchReader());
      for await (const item of this.#queue) {
        this.#noteTold(item);
        this.#lastReadMs = this.#needs.clock.monotonicMs();
        yield { events: item.events, resumeToken: item.token, caughtUp: item.caughtUp ?? false };
        this.#lastReadMs = this.#needs.clock.monotonicMs();
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#scope.abort(new PinfoldError('CANCELLED', 'the watch ended'));
      this.#scope[Symbol.dispose]();
      await Promise.all(this.#tasks);
    }
  }

  /** Runs beside the reader; a failure ends the watch. */
  #task(work: () => Promise<void>): void {
    const done = work().catch((error) => {
      if (!this.#scope.signal.aborted) this.#queue.fail(error);
    });
    this.#tasks.add(done);
    void done.then(() => this.#tasks.delete(done));
  }

  async #emit(item: Item): Promise<void> {
    await this.#queue.push(item, { signal: this.#scope.signal });
  }

  #noteTold({ pins, status }: Item): void {
    const { peers } = this.#told;
    if (pins !== undefined) this.#told.pins = pins;
    if (status?.place !== undefined) peers.set(status.peerId, status.place);
    else if (status !== undefined) peers.delete(status.peerId);
    if (pins !== undefined || status !== undefined) this.#told.changed = true;
  }

  // Pins

  async #watchPins(resumed: WatchPlace | undefined): Promise<void> {
    const { signal } = this.#scope;
    const { feed } = this.#needs.pinset;
    let revision = feed.revision;
    if (resumed !== undefined) revision = await this.#resumePins(resumed, revision);
    else if (!this.#query.changesOnly) await this.#listPins();
    await this.#emit({ events: [], pins: revision });
    this.#pinsListed = true;
    if (!this.#query.pinsOnly) this.#watchMembers(resumed);
    this.#noteCaughtUp();
    for (;;) {
      const batch = this.#shared.changes.read(revision);
      if (batch === 'gone') throw new PinfoldError('HISTORY_GONE', 'the changes that come next are gone; list again');
      if (batch.to > revision) {
        revision = batch.to;
        await this.#emit({ events: this.#pinEvents(batch.changes), pins: revision });
        if (!this.#query.pinsOnly) await this.#askForNew(batch.changes);
      }
      if (revision < feed.revision) await sleep(this.#needs.timers, 0, signal);
      else await feed.wait(revision, { flushed: false, signal });
    }
  }

  async #listPins(): Promise<void> {
    const { pinset, timers } = this.#needs;
    let cursor: Uint8Array | undefined;
    do {
      const page = pinset.list({
        filter: this.#query.filter,
        order: 'key',
        limit: WATCH_READ_MAX,
        ...(cursor === undefined ? {} : { cursor }),
      });
      cursor = page.cursor;
      if (page.pins.length > 0) await this.#emit({ events: page.pins.map((stored) => ({ kind: 'pinned', stored })) });
      await sleep(timers, 0, this.#scope.signal);
    } while (cursor !== undefined);
  }

  /** Tells what changed since the token; returns from which revision to go on. */
  async #resumePins(resumed: WatchPlace, now: number): Promise<number> {
    const { peerId, storeIncarnation } = this.#needs;
    const isHere = resumed.peerId === peerId && byteString(resumed.storeIncarnation) === byteString(storeIncarnation());
    if (isHere && resumed.revision <= now && this.#shared.changes.read(resumed.revision) !== 'gone') {
      return resumed.revision;
    }
    if (resumed.position === undefined) {
      throw new PinfoldError('HISTORY_GONE', 'the resume token holds only at the peer that gave it; list again');
    }
    const { revision, keys } = await this.#changedSince(resumed.position);
    for (let i = 0; i < keys.length; i += WATCH_READ_MAX) {
      const changes = keys.slice(i, i + WATCH_READ_MAX).map((key) => ({ key, stored: this.#needs.pinset.get(key) }));
      await this.#emit({ events: this.#pinEvents(changes) });
      await sleep(this.#needs.timers, 0, this.#scope.signal);
    }
    return revision;
  }

  async #changedSince(position: Uint8Array) {
    const { consensus, pinset, clock, timers } = this.#needs;
    const untilMs = clock.monotonicMs() + Math.min(AHEAD_WAIT_MS_MAX, this.#msLeft());
    for (;;) {
      const { revision } = pinset.feed;
      const keys = consensus.changedSince(position);
      if (keys === 'gone')
        throw new PinfoldError('HISTORY_GONE', 'the changes since that resume token are gone; list again');
      if (keys !== 'ahead') return { revision, keys };
      if (clock.monotonicMs() >= untilMs) {
        throw new PinfoldError(
          'PEER_UNREACHABLE',
          'this peer has not yet seen all that the resume token names; try again, or another peer',
        );
      }
      await sleep(timers, AHEAD_POLL_MS, this.#scope.signal);
    }
  }

  /** A little less than the caller's deadline leaves, so that the answer still gets there. */
  #msLeft(): number {
    const { deadlineMs } = this.#call;
    return deadlineMs === undefined ? Number.POSITIVE_INFINITY : (deadlineMs - this.#needs.clock.nowMs()) * 0.9;
  }

  #pinEvents(changes: readonly { key: Uint8Array; stored: StoredPin | undefined }[]): WatchEvent[] {
    return changes.flatMap(({ key, stored }): WatchEvent[] => {
      if (stored !== undefined && this.#selection.matches(stored.pin)) return [{ kind: 'pinned', stored }];
      const { cid, namespace } = pinKeyParts(key);
      return this.#selection.matchesKey(cid, namespace) ? [{ kind: 'unpinned', cid, namespace }] : [];
    });
  }

  // Statuses

  #watchMembers(resumed: WatchPlace | undefined): void {
    const update = () => {
      const members = new Set(this.#needs.monitor.members().map(({ peerId }) => peerId));
      for (const peerId of members) if (!this.#members.has(peerId)) this.#watchMember(peerId, resumed);
      for (const [peerId, { stop }] of this.#members) if (!members.has(peerId)) this.#leaveMember(peerId, stop);
    };
    const stop = this.#needs.monitor.onChange(({ kind }) => {
      if (kind === 'record' && !this.#scope.signal.aborted) update();
    });
    this.#scope.signal.addEventListener('abort', stop, { once: true });
    update();
  }

  #watchMember(peerId: string, resumed: WatchPlace | undefined): void {
    const stop = mergeSignals(this.#scope.signal);
    const state = { stop, caughtUp: false };
    this.#members.set(peerId, state);
    const from = resumed?.peers.get(peerId);
    const fresh = this.#wishes !== undefined ? 'asked' : 'all';
    const begin = this.#query.changesOnly && resumed === undefined ? 'none' : fresh;
    const needs = {
      log: this.#shared.log(peerId),
      timers: this.#needs.timers,
      random: this.#needs.random,
      ask: (signal: AbortSignal) => this.#askWatched(peerId, signal),
      onRows: (rows: readonly WishStatus[], place: StatusPlace | undefined) => this.#onRows(peerId, rows, place),
      onReset: () => this.#emit({ events: [{ kind: 'reset', peerId }], status: { peerId, place: undefined } }),
      onLost: (error: unknown) => this.#onLost(peerId, error),
      onCaughtUp: () => {
        state.caughtUp = true;
        this.#noteCaughtUp();
      },
    };
    this.#task(async () => {
      try {
        await watchMember({ from, begin, again: fresh }, needs, stop.signal);
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      } finally {
        stop[Symbol.dispose]();
      }
    });
  }

  #leaveMember(peerId: string, stop: ScopedSignal): void {
    this.#members.delete(peerId);
    stop.abort(new Error('no member any more'));
    const gone = new PinfoldError('PEER_NOT_FOUND', 'the peer is no member any more');
    this.#task(() => this.#onLost(peerId, gone));
    this.#noteCaughtUp();
  }

  async #onLost(peerId: string, error: unknown): Promise<void> {
    const lost = peerError(this.#needs, peerId, error);
    await this.#emit({ events: [{ kind: 'peer-lost', error: lost }], status: { peerId, place: undefined } });
  }

  async #onRows(peerId: string, rows: readonly WishStatus[], place: StatusPlace | undefined): Promise<void> {
    for (const ask of this.#asks) {
      if (ask.peerId === peerId) for (const { cid } of rows) ask.overtaken.add(wishName(cid));
    }
    const status = { peerId, place };
    for (let i = 0; i < rows.length; i += WATCH_READ_MAX) {
      const events = this.#statusEvents(peerId, rows.slice(i, i + WATCH_READ_MAX));
      const isLast = i + WATCH_READ_MAX >= rows.length;
      if (events.length > 0 || isLast) await this.#emit(isLast ? { events, status } : { events });
    }
    if (rows.length === 0 && place !== undefined) await this.#emit({ events: [], status });
  }

  #statusEvents(peerId: string, rows: readonly WishStatus[]): WatchEvent[] {
    const peer = this.#named(peerId);
    return rows.flatMap((wish): WatchEvent[] => {
      if (this.#wishes !== undefined && !this.#wishes.has(wishName(wish.cid))) return [];
      const claims = this.#needs.pinset.claims(wish.cid);
      // The claim may be learned of later here than there, or come back to a node that has not let go of it yet.
      const isTold = claims.some(({ pin }) => isAllocatedTo(pin, peerId));
      if (!isTold && wish.status !== 'unpinned') this.#shared.changes.remember(wish.cid);
      return claims
        .filter(({ pin }) => this.#selection.matches(pin))
        .map(({ pin }) => ({
          kind: 'status',
          cid: pin.cid,
          namespace: pin.namespace,
          peer: claimStatus(pin, peer, wish),
        }));
    });
  }

  #named(peerId: string): Named {
    return { peerId, name: this.#needs.monitor.member(peerId)?.name ?? '' };
  }

  /** What the member says of the pins that the filter names. */
  async #askWatched(peerId: string, signal: AbortSignal): Promise<WishStatus[]> {
    const cids = new Map<string, Uint8Array>();
    for (const cid of this.#query.filter.cids ?? []) {
      for (const { pin } of this.#needs.pinset.claims(cid)) {
        if (this.#selection.matches(pin) && isAllocatedTo(pin, peerId)) cids.set(wishName(pin.cid), toV1(pin.cid));
      }
    }
    return await askStatuses(this.#needs, peerId, [...cids.values()], signal);
  }

  /**
   * A claim on a wish that a node holds already changes no status, so nothing would be told of it: it is asked for. What
   * the member's stream says meanwhile is newer and counts.
   */
  async #askForNew(changes: readonly PinChange[]): Promise<void> {
    const pins = changes.flatMap(({ stored, mustAsk }) =>
      stored !== undefined && mustAsk && this.#selection.matches(stored.pin) ? [stored] : [],
    );
    if (pins.length === 0) return;
    for (const peerId of this.#members.keys()) {
      while (this.#asks.size >= ASKS_MAX) await sleep(this.#needs.timers, ASK_PAUSE_MS, this.#scope.signal);
      const cids = pins.filter(({ pin }) => isAllocatedTo(pin, peerId)).map(({ pin }) => toV1(pin.cid));
      if (cids.length > 0)
        this.#task(() => this.#askPeer(peerId, [...new Map(cids.map((c) => [byteString(c), c])).values()]));
    }
  }

  async #askPeer(peerId: string, cids: readonly Uint8Array[]): Promise<void> {
    const ask = { peerId, overtaken: new Set<string>() };
    this.#asks.add(ask);
    try {
      const rows = await this.#askPatiently(peerId, cids);
      const events = this.#statusEvents(
        peerId,
        rows.filter(({ cid }) => !ask.overtaken.has(byteString(cid))),
      );
      if (events.length > 0) await this.#emit({ events });
    } finally {
      this.#asks.delete(ask);
    }
  }

  /** No rows for a member that cannot be asked: its stream tells that it is lost, and begins anew when it comes back. */
  async #askPatiently(peerId: string, cids: readonly Uint8Array[]): Promise<WishStatus[]> {
    for (let attempt = 0; attempt < ASK_ATTEMPTS; attempt++) {
      try {
        return await askStatuses(this.#needs, peerId, cids, this.#scope.signal);
      } catch {
        await sleep(this.#needs.timers, ASK_PAUSE_MS * 2 ** attempt, this.#scope.signal);
      }
    }
    return [];
  }

  // Marks

  #noteCaughtUp(): void {
    if (this.#caughtUp || !this.#pinsListed) return;
    if (![...this.#members.values()].every(({ caughtUp }) => caughtUp)) return;
    this.#caughtUp = true;
    this.#task(() => this.#emit({ events: [], caughtUp: true }));
  }

  /**
   * What was read may be newer than the disk. So a token for what was told is held back: one interval later whatever was read
   * then has its revision, and when that is flushed the token may go.
   */
  async #mintTokens(): Promise<void> {
    const { pinset, timers, peerId, storeIncarnation, consensus } = this.#needs;
    const { feed } = pinset;
    for (;;) {
      await sleep(timers, TOKEN_INTERVAL_MS, this.#scope.signal);
      const mark = this.#mark;
      if (mark === undefined) {
        const { pins, peers, changed } = this.#told;
        if (!changed || pins === undefined) continue;
        const place = { peerId, storeIncarnation: storeIncarnation(), revision: pins, peers: new Map(peers) };
        this.#told.changed = false;
        this.#mark = { place, bound: undefined };
      } else if (mark.bound === undefined) mark.bound = feed.revision;
      if (mark?.bound === undefined || feed.flushedRevision < mark.bound) continue;
      const token = encodeResumeToken({ ...mark.place, position: consensus.flushedPosition(mark.place.revision) });
      this.#mark = undefined;
      // With no room, the next one will do.
      if (this.#queue.offer({ events: [], token })) this.#lastToken = token;
    }
  }

  async #watchReader(): Promise<void> {
    for (;;) {
      await sleep(this.#needs.timers, READER_STALL_MS_MAX / 4, this.#scope.signal);
      const stalledMs = this.#needs.clock.monotonicMs() - this.#lastReadMs;
      if (this.#queue.size < WATCH_EVENTS_WAITING_MAX / 2 || stalledMs < READER_STALL_MS_MAX) continue;
      throw slowReader(this.#lastToken);
    }
  }
}

function slowReader(token: Uint8Array | undefined): PinfoldError {
  const facts = token === undefined ? {} : { resumeToken: Buffer.from(token).toString('base64') };
  const seconds = READER_STALL_MS_MAX / 1000;
  return new PinfoldError(
    'SLOW_READER',
    `nothing was read for ${seconds} s while changes wait; resume from the last token`,
    { facts },
  );
}
