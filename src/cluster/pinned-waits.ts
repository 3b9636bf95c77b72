import { toV1 } from '../model/cid.ts';
import { isAllocatedTo } from '../model/pin.ts';
import type { WishStatus } from '../model/status.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { PeerRpc } from '../network/network.ts';
import type { Pinset } from '../pinset/pinset.ts';
import { mergeSignals, type ScopedSignal } from '../runtime/abort.ts';
import { sleep, type Timers } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { Tracker } from '../tracker/tracker.ts';
import { wishName } from './claim-status.ts';
import { ASK_ATTEMPTS, ASK_PAUSE_MS, STATUSES_ASKED_MAX } from './constants.ts';
import { watchMember } from './member-watch.ts';
import { askStatuses } from './peer-statuses.ts';
import type { SharedWatching } from './shared-watching.ts';

export interface PinnedWaitsNeeds {
  peerId: string;
  pinset: Pick<Pinset, 'claims'>;
  tracker: Pick<Tracker, 'statuses'>;
  monitor: Pick<Monitor, 'members' | 'member' | 'onChange'>;
  rpc: Pick<PeerRpc, 'call'>;
  timers: Timers;
  random: Random;
  /** The members' status streams, which watches use, too. */
  shared: Pick<SharedWatching, 'log'>;
}

export interface HeldBy {
  /** How many nodes hold each of them; at most what was asked for. */
  count: number;
  /** Peer IDs of those whose nodes hold all of them. */
  acknowledgedBy: readonly string[];
}

/** Content that somebody waits for, and the members whose nodes hold it. */
interface Wish {
  readonly name: string;
  readonly cid: Uint8Array;
  readonly heldBy: Set<string>;
  readonly waits: Set<Wait>;
}

interface Wait {
  readonly count: number;
  readonly wishes: Wish[];
  /** Not held by so many yet. */
  readonly open: Set<Wish>;
  least: number;
  common: ReadonlySet<string> | undefined;
  settle(): void;
}

interface WatchedMember {
  readonly stop: ScopedSignal;
  /** Wishes to be asked for; one question is under way at a time. */
  readonly toAsk: Map<string, Wish>;
  isAsking: boolean;
  /** Told by its stream while a question was open: newer than the answer. */
  readonly overtaken: Set<string>;
}

/**
 * Waits until the nodes of n members hold contents: by their status streams, which run while somebody waits, and one question for what they
 * hold already. The caller bounds how much waits.
 */
export class PinnedWaits {
  readonly #needs: PinnedWaitsNeeds;
  readonly #wishes = new Map<string, Wish>();
  readonly #members = new Map<string, WatchedMember>();
  #stopListening: (() => void) | undefined;

  constructor(needs: PinnedWaitsNeeds) {
    this.#needs = needs;
  }

  /** Resolves when `count` nodes hold each of them, or after `timeoutMs` with how many do. Rejects with the signal's reason. */
  wait(
    cids: readonly Uint8Array[],
    count: number,
    { signal, timeoutMs }: { signal: AbortSignal; timeoutMs: number },
  ): Promise<HeldBy> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const end = () => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        this.#leave(wait);
      };
      const settle = () => {
        for (const wish of [...wait.open]) closeWish(wait, wish);
        end();
        const acknowledgedBy = [...(wait.common ?? [])];
        resolve({ count: Math.min(count, wait.least), acknowledgedBy });
      };
      const onAbort = () => {
        end();
        reject(signal.reason);
      };
      const wait: Wait = { count, wishes: [], open: new Set(), least: count, common: undefined, settle };
      const timer = this.#needs.timers.after(timeoutMs, settle);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#enter(wait, cids);
      this.#update();
      for (const [peerId, member] of this.#members) this.#askFor(peerId, member, wait.wishes);
      this.#look(wait);
    });
  }

  #enter(wait: Wait, cids: readonly Uint8Array[]): void {
    for (const cid of cids) {
      const name = wishName(cid);
      const wish = this.#wishes.get(name) ?? { name, cid: toV1(cid), heldBy: new Set(), waits: new Set() };
      this.#wishes.set(name, wish);
      wish.waits.add(wait);
      wait.wishes.push(wish);
      wait.open.add(wish);
    }
  }

  #leave(wait: Wait): void {
    for (const { name, waits } of wait.wishes) if (waits.delete(wait) && waits.size === 0) this.#wishes.delete(name);
    if (this.#wishes.size > 0) return;
    this.#stopListening?.();
    this.#stopListening = undefined;
    for (const { stop } of this.#members.values()) stop.abort(new Error('nobody waits'));
    this.#members.clear();
  }

  #look(wait: Wait): void {
    for (const wish of [...wait.open]) if (wish.heldBy.size >= wait.count) closeWish(wait, wish);
    if (wait.open.size === 0) wait.settle();
  }

  /** Watches the members there are. */
  #update(): void {
    const { monitor } = this.#needs;
    this.#stopListening ??= monitor.onChange(({ kind }) => {
      if (kind === 'record') this.#update();
    });
    const ids = new Set(monitor.members().map(({ peerId }) => peerId));
    for (const peerId of ids) if (!this.#members.has(peerId)) this.#watch(peerId);
    for (const [peerId, { stop }] of this.#members) {
      if (ids.has(peerId)) continue;
      this.#members.delete(peerId);
      stop.abort(new Error('no member any more'));
      this.#forget(peerId);
    }
  }

  #watch(peerId: string): void {
    const stop = mergeSignals();
    const member: WatchedMember = { stop, toAsk: new Map(), isAsking: false, overtaken: new Set() };
    this.#members.set(peerId, member);
    const forget = async () => this.#forget(peerId);
    const needs = {
      log: this.#needs.shared.log(peerId),
      timers: this.#needs.timers,
      random: this.#needs.random,
      ask: (signal: AbortSignal) => askStatuses(this.#needs, peerId, this.#allocated(peerId), signal),
      onRows: async (rows: readonly WishStatus[]) => this.#told(peerId, member, rows),
      onReset: forget,
      onLost: forget,
      onCaughtUp() {},
    };
    watchMember({ from: undefined, begin: 'asked', again: 'asked', statuses: [] }, needs, stop.signal).catch(() => {
      // It ends when nobody waits, and tries again by itself until then.
    });
  }

  /** What is waited for and that member is to hold. */
  #allocated(peerId: string): Uint8Array[] {
    return [...this.#wishes.values()].filter((wish) => this.#isAllocated(wish, peerId)).map(({ cid }) => cid);
  }

  #isAllocated({ cid }: Wish, peerId: string): boolean {
    return this.#needs.pinset.claims(cid).some(({ pin }) => isAllocatedTo(pin, peerId));
  }

  #told(peerId: string, member: WatchedMember, rows: readonly WishStatus[]): void {
    if (member.isAsking) for (const { cid } of rows) member.overtaken.add(wishName(cid));
    this.#take(peerId, rows);
  }

  #take(peerId: string, rows: readonly WishStatus[]): void {
    const touched = new Set<Wait>();
    for (const { cid, status } of rows) {
      const wish = this.#wishes.get(wishName(cid));
      if (wish === undefined) continue;
      if (status === 'pinned') wish.heldBy.add(peerId);
      else wish.heldBy.delete(peerId);
      for (const wait of wish.waits) touched.add(wait);
    }
    for (const wait of touched) this.#look(wait);
  }

  /** Nothing is known of that member's node any more. */
  #forget(peerId: string): void {
    for (const { heldBy } of this.#wishes.values()) heldBy.delete(peerId);
  }

  /** What a node holds already changes no status, so nothing would be told of it. */
  #askFor(peerId: string, member: WatchedMember, wishes: readonly Wish[]): void {
    for (const wish of wishes) if (this.#isAllocated(wish, peerId)) member.toAsk.set(wish.name, wish);
    if (member.isAsking || member.toAsk.size === 0) return;
    member.isAsking = true;
    this.#ask(peerId, member)
      .catch(() => {}) // Nobody waits any more.
      .finally(() => {
        member.isAsking = false;
      });
  }

  async #ask(peerId: string, member: WatchedMember): Promise<void> {
    const { signal } = member.stop;
    for (let failures = 0; member.toAsk.size > 0 && failures < ASK_ATTEMPTS; ) {
      const some = [...member.toAsk].slice(0, STATUSES_ASKED_MAX);
      member.overtaken.clear();
      try {
        const cids = some.map(([, { cid }]) => cid);
        const rows = await askStatuses(this.#needs, peerId, cids, signal);
        for (const [name] of some) member.toAsk.delete(name);
        this.#take(
          peerId,
          rows.filter(({ cid }) => !member.overtaken.has(wishName(cid))),
        );
        failures = 0;
      } catch {
        // A member that is lost is asked for all when it comes back.
        signal.throwIfAborted();
        await sleep(this.#needs.timers, ASK_PAUSE_MS * 2 ** failures++, signal);
      }
    }
    member.toAsk.clear();
  }
}

/** The wait is done with that one: as it is held now. */
function closeWish(wait: Wait, wish: Wish): void {
  wait.open.delete(wish);
  wait.least = Math.min(wait.least, wish.heldBy.size);
  const { common } = wait;
  wait.common = common === undefined ? new Set(wish.heldBy) : new Set([...wish.heldBy].filter((id) => common.has(id)));
}
