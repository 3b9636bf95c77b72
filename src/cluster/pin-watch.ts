import { byteString, equalBytes } from '../model/bytes.ts';
import { answerWithinMs, type CallContext } from '../model/call-context.ts';
import { toV1 } from '../model/cid.ts';
import { PinfoldError } from '../model/errors.ts';
import { isAllocatedTo, type PinKey } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import type { WishStatus } from '../model/status.ts';
import type { StoredPin } from '../pinset/pinset.ts';
import { mergeSignals, type ScopedSignal } from '../runtime/abort.ts';
import { BoundedQueue } from '../runtime/bounded-queue.ts';
import { sleep } from '../runtime/clock.ts';
import { changedSince } from './changed-since.ts';
import { claimStatus, type Named, wishName } from './claim-status.ts';
import { ASK_PAUSE_MS, ASKS_MAX, READER_STALL_MS_MAX, WATCH_EVENTS_WAITING_MAX, WATCH_READ_MAX } from './constants.ts';
import { historyAt } from './history-at.ts';
import { withinNamespaces } from './listing.ts';
import { watchMember } from './member-watch.ts';
import { askPatiently, askStatuses, peerError } from './peer-statuses.ts';
import type { PinChange } from './pin-changes.ts';
import { PinSelection } from './pin-filter.ts';
import { decodeResumeToken, type StatusPlace, type WatchPlace } from './resume-token.ts';
import type { SharedWatching } from './shared-watching.ts';
import { slowReader } from './slow-reader.ts';
import { type Covers, TokenMint } from './token-mint.ts';
import { ToldStatuses } from './told-statuses.ts';
import type { WatchEvent, WatchMessage, WatchNeeds, WatchQuery } from './watch.ts';

/** What waits for the reader: events, what is covered once they are told, and marks. */
interface Item extends Covers {
  events: WatchEvent[];
  caughtUp?: boolean;
  token?: Uint8Array;
}

/** One watch. */
export class PinWatch {
  readonly #needs: WatchNeeds;
  readonly #shared: SharedWatching;
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
  /** Were members, and were said to be lost. */
  readonly #left = new Set<string>();
  readonly #tasks = new Set<Promise<void>>();
  /** Asks under way, with the wishes of which newer word came meanwhile. */
  readonly #asks = new Set<{ peerId: string; overtaken: Set<string> }>();
  readonly #tokens: TokenMint;
  /** Undefined: all statuses are watched. */
  readonly #told: ToldStatuses | undefined;
  #pinsListed = false;
  #caughtUp = false;
  #lastReadMs: number;

  constructor(needs: WatchNeeds, shared: SharedWatching, query: WatchQuery, call: CallContext) {
    this.#needs = needs;
    this.#shared = shared;
    this.#query = query;
    this.#call = call;
    const filter = withinNamespaces(query.filter, call);
    this.#selection = new PinSelection(filter);
    this.#wishes = filter.cids && new Set(filter.cids.map(wishName));
    this.#query = { ...query, filter };
    this.#scope = mergeSignals(call.signal);
    this.#tokens = new TokenMint(needs, query.resumeToken);
    this.#told = query.statuses.length === 0 ? undefined : new ToldStatuses(query.statuses);
    this.#lastReadMs = needs.clock.monotonicMs();
  }

  async *run(): AsyncIterable<WatchMessage> {
    const { signal } = this.#scope;
    const onAbort = () => this.#queue.fail(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const resumed = this.#query.resumeToken === undefined ? undefined : decodeResumeToken(this.#query.resumeToken);
      this.#task(() => this.#watchPins(resumed));
      this.#task(() =>
        // With no room, the next one will do.
        this.#tokens.run((token) => this.#queue.offer({ events: [], token }), signal),
      );
      this.#task(() => this.#watchReader());
      for await (const item of this.#queue) {
        this.#tokens.told(item);
        this.#lastReadMs = this.#needs.clock.monotonicMs();
        const { events, token, caughtUp = false } = item;
        // What only moves the next token is no news to the reader.
        if (events.length === 0 && token === undefined && !caughtUp) continue;
        yield { events, resumeToken: token, caughtUp };
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
  #task(work: () => Promise<void>): Promise<void> {
    const done = work().catch((error) => {
      if (!this.#scope.signal.aborted) this.#queue.fail(error);
    });
    this.#tasks.add(done);
    return done.finally(() => this.#tasks.delete(done));
  }

  async #emit(item: Item): Promise<void> {
    await this.#queue.push(item, { signal: this.#scope.signal });
  }

  /** Tells of pins what the disk has: of what was lost with power nothing would be told again, and the reader would keep it. */
  async #emitFlushed(item: Item): Promise<void> {
    await this.#needs.pinset.flushed();
    await this.#emit(item);
  }

  // Pins

  async #watchPins(resumed: WatchPlace | undefined): Promise<void> {
    const { signal } = this.#scope;
    const { feed } = this.#needs.pinset;
    let { revision } = feed;
    let retold: readonly PinKey[] = [];
    if (resumed !== undefined) ({ revision, keys: retold } = await this.#resumePins(resumed, revision));
    else if (!this.#query.changesOnly && this.#told === undefined) await this.#listPins();
    // With what was being asked for when the token was made.
    retold = [...retold, ...(resumed?.asked ?? [])];
    const asked = this.#tokens.asking({ keys: retold, before: undefined });
    await this.#emit({ events: [], pins: revision });
    this.#pinsListed = true;
    if (!this.#query.pinsOnly) this.#watchMembers(resumed);
    void Promise.all(await this.#askForRetold(retold)).then(asked);
    this.#noteCaughtUp();
    for (;;) {
      const batch = this.#shared.changes.read(revision);
      if (batch === 'gone') throw new PinfoldError('HISTORY_GONE', 'the changes that come next are gone; list again');
      if (batch.to > revision) {
        // What a member said before the token of claims that come to be known only now, nobody here remembers.
        const pins = this.#toAskFor(batch.changes, resumed !== undefined);
        const asked = this.#tokens.asking({ keys: pins.map(({ key }) => key), before: revision });
        revision = batch.to;
        await this.#emitFlushed({ events: this.#pinEvents(batch.changes), pins: revision });
        void Promise.all(await this.#askFor(pins)).then(asked);
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
      if (page.pins.length > 0) {
        await this.#emitFlushed({ events: page.pins.map((stored) => ({ kind: 'pinned', stored })) });
      }
      await sleep(timers, 0, this.#scope.signal);
    } while (cursor !== undefined);
  }

  /** Tells what changed since the token, if the feed will not; returns from which revision to go on, and what it told. */
  async #resumePins(resumed: WatchPlace, now: number): Promise<{ revision: number; keys: readonly PinKey[] }> {
    const history = historyAt(this.#needs, resumed.revision);
    const isHere =
      resumed.peerId === this.#needs.peerId && history !== undefined && equalBytes(resumed.storeIncarnation, history);
    if (isHere && resumed.revision <= now && this.#shared.changes.read(resumed.revision) !== 'gone') {
      return { revision: resumed.revision, keys: [] };
    }
    if (resumed.position === undefined) {
      throw new PinfoldError('HISTORY_GONE', 'the resume token holds only at the peer that gave it; list again');
    }
    const withinMs = answerWithinMs(this.#call, this.#needs.clock.nowMs());
    const { revision, keys } = await changedSince(this.#needs, resumed.position, withinMs, this.#scope.signal);
    for (let i = 0; i < keys.length; i += WATCH_READ_MAX) {
      const changes = keys.slice(i, i + WATCH_READ_MAX).map((key) => ({ key, stored: this.#needs.pinset.get(key) }));
      await this.#emitFlushed({ events: this.#pinEvents(changes) });
      await sleep(this.#needs.timers, 0, this.#scope.signal);
    }
    return { revision, keys };
  }

  async #askForRetold(keys: readonly PinKey[]): Promise<Promise<void>[]> {
    const asks: Promise<void>[] = [];
    for (let i = 0; i < keys.length; i += WATCH_READ_MAX) {
      const stored = keys.slice(i, i + WATCH_READ_MAX).map((key) => ({ key, stored: this.#needs.pinset.get(key) }));
      asks.push(...(await this.#askFor(this.#toAskFor(stored, true))));
    }
    return asks;
  }

  #pinEvents(changes: readonly { key: Uint8Array; stored: StoredPin | undefined }[]): WatchEvent[] {
    return changes.flatMap(({ key, stored }): WatchEvent[] => {
      const { cid, namespace } = pinKeyParts(key);
      if (this.#told?.knows(cid) === false) return [];
      if (stored !== undefined && this.#selection.matches(stored.pin)) return [{ kind: 'pinned', stored }];
      return this.#selection.matchesKey(cid, namespace) ? [{ kind: 'unpinned', cid, namespace }] : [];
    });
  }

  // Statuses

  #watchMembers(resumed: WatchPlace | undefined): void {
    const { peerIds } = this.#query;
    // What was told of statuses before, nobody here remembers.
    let places = this.#told === undefined ? resumed?.peers : undefined;
    const update = () => {
      const all = this.#needs.monitor.members().map(({ peerId }) => peerId);
      const members = new Set(peerIds.length === 0 ? all : all.filter((peerId) => peerIds.includes(peerId)));
      for (const peerId of members) if (!this.#members.has(peerId)) this.#watchMember(peerId, places?.get(peerId));
      for (const [peerId, { stop }] of this.#members) if (!members.has(peerId)) this.#leaveMember(peerId, stop);
    };
    const stop = this.#needs.monitor.onChange(({ kind }) => {
      if (kind === 'record' && !this.#scope.signal.aborted) update();
    });
    this.#scope.signal.addEventListener('abort', stop, { once: true });
    update();
    // Who becomes a member later was not asked for what has been told by then, and may have been said to be lost.
    places = undefined;
  }

  #watchMember(peerId: string, from: StatusPlace | undefined): void {
    const stop = mergeSignals(this.#scope.signal);
    const state = { stop, caughtUp: false };
    this.#members.set(peerId, state);
    const fresh = this.#wishes !== undefined ? 'asked' : 'all';
    const isFromNow = this.#query.changesOnly && this.#query.resumeToken === undefined && !this.#left.has(peerId);
    const begin = isFromNow ? 'none' : fresh;
    const needs = {
      log: this.#shared.log(peerId),
      timers: this.#needs.timers,
      random: this.#needs.random,
      ask: (signal: AbortSignal) => this.#askWatched(peerId, signal),
      onRows: (rows: readonly WishStatus[], place: StatusPlace | undefined) => this.#onRows(peerId, rows, place),
      onReset: () => {
        this.#told?.forget(peerId);
        return this.#emit({ events: [{ kind: 'reset', peerId }], status: { peerId, place: undefined } });
      },
      onLost: (error: unknown) => this.#onLost(peerId, error),
      onCaughtUp: () => {
        state.caughtUp = true;
        this.#noteCaughtUp();
      },
    };
    this.#task(async () => {
      try {
        if (this.#told !== undefined && this.#query.resumeToken !== undefined) await needs.onReset();
        await watchMember({ from, begin, again: fresh, statuses: this.#query.statuses }, needs, stop.signal);
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
    this.#left.add(peerId);
    this.#task(() => this.#onLost(peerId, gone));
    this.#noteCaughtUp();
  }

  async #onLost(peerId: string, error: unknown): Promise<void> {
    const lost = peerError(this.#needs, peerId, error);
    this.#told?.forget(peerId);
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
      if (this.#told?.take(peerId, wish) === false) return [];
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

  /** A claim on a wish that a node holds already changes no status, so nothing would be told of it. */
  #toAskFor(changes: readonly Partial<PinChange>[], isEach: boolean): StoredPin[] {
    if (this.#query.pinsOnly) return [];
    return changes.flatMap(({ stored, mustAsk }) =>
      stored !== undefined && (mustAsk || isEach) && this.#selection.matches(stored.pin) ? [stored] : [],
    );
  }

  /** What the member's stream says meanwhile is newer and counts. Answers what is under way then. */
  async #askFor(pins: readonly StoredPin[]): Promise<Promise<void>[]> {
    const asks: Promise<void>[] = [];
    if (pins.length === 0) return asks;
    for (const peerId of this.#members.keys()) {
      while (this.#asks.size >= ASKS_MAX) await sleep(this.#needs.timers, ASK_PAUSE_MS, this.#scope.signal);
      const cids = pins.filter(({ pin }) => isAllocatedTo(pin, peerId)).map(({ pin }) => toV1(pin.cid));
      const wishes = [...new Map(cids.map((cid) => [byteString(cid), cid])).values()];
      if (wishes.length > 0) asks.push(this.#task(() => this.#askPeer(peerId, wishes)));
    }
    return asks;
  }

  async #askPeer(peerId: string, cids: readonly Uint8Array[]): Promise<void> {
    const ask = { peerId, overtaken: new Set<string>() };
    this.#asks.add(ask);
    try {
      const rows = await askPatiently(this.#needs, peerId, cids, this.#scope.signal);
      const events = this.#statusEvents(
        peerId,
        rows.filter(({ cid }) => !ask.overtaken.has(byteString(cid))),
      );
      if (events.length > 0) await this.#emit({ events });
    } finally {
      this.#asks.delete(ask);
    }
  }

  #noteCaughtUp(): void {
    if (this.#caughtUp || !this.#pinsListed) return;
    if (![...this.#members.values()].every(({ caughtUp }) => caughtUp)) return;
    this.#caughtUp = true;
    this.#task(() => this.#emit({ events: [], caughtUp: true }));
  }

  async #watchReader(): Promise<void> {
    for (;;) {
      await sleep(this.#needs.timers, READER_STALL_MS_MAX / 4, this.#scope.signal);
      const stalledMs = this.#needs.clock.monotonicMs() - this.#lastReadMs;
      if (this.#queue.size < WATCH_EVENTS_WAITING_MAX / 2 || stalledMs < READER_STALL_MS_MAX) continue;
      throw slowReader(this.#tokens.last);
    }
  }
}
