import type { Consensus, Request } from '../../consensus/consensus.ts';
import type { PinKey } from '../../model/pin.ts';
import type { Monitor } from '../../monitor/monitor.ts';
import type { Pinset } from '../../pinset/pinset.ts';
import { unlessCorrupt } from '../../pinset/rows.ts';
import { type Clock, sleep, type Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { MetricsRegister } from '../../runtime/metrics.ts';
import type { PeerStatusesNeeds } from '../peer-statuses.ts';
import { rendezvousOrder } from '../rendezvous.ts';
import {
  ACTING_PEER_CHANGES_MS,
  REALLOCATED_AT_ONCE_MAX,
  REALLOCATION_CHECK_MS,
  REALLOCATION_INTERVAL_MS,
  REALLOCATION_PAUSE_MS_MAX,
  REALLOCATION_PAUSE_MS_MIN,
  REALLOCATION_QUEUE_MAX,
  REALLOCATION_SCAN_REST,
  REALLOCATION_WRITTEN_MAX,
} from './constants.ts';
import { holdings } from './holdings.ts';
import { type ReallocationMetrics, reallocationMetrics } from './metrics.ts';
import { MostEndangered } from './most-endangered.ts';
import { nextPlacement } from './next-placement.ts';
import { pinPages } from './pages.ts';
import { type Concern, concernOf, type Places } from './places.ts';

export interface ReallocatorInit {
  /** Pins that this peer moves in a second, at most. */
  pinsPerSecondMax: number;
}

export interface ReallocatorNeeds extends PeerStatusesNeeds {
  pinset: Pick<Pinset, 'get' | 'keys' | 'feed'>;
  consensus: Pick<Consensus, 'commit' | 'refusal'>;
  monitor: Pick<Monitor, 'members' | 'member' | 'raise' | 'clear'>;
  isTrusted: (peerId: string) => boolean;
  places: () => Places;
  /** Peers that would count as lost if more of the others were up. */
  held: () => readonly string[];
  clock: Clock;
  timers: Timers;
  logger: Logger;
  metrics: MetricsRegister;
}

/** What became of a part of a look at all pins. */
interface Pass {
  /** Pins that are to lie otherwise still: they wait for a copy, for another peer to act, or for the one that does not answer. */
  left: number;
  moved: number;
}

/**
 * Moves pins to where they should lie: away from peers that are lost or are to be emptied, and to more peers where fewer have them than
 * wanted. Of each pin only one peer does so, named by rendezvous among those that are up. It changes where pins lie, never pins, and keeps
 * nothing but what it is just at: what is to be done is seen from pins, peers and statuses.
 */
export class Reallocator {
  readonly name = 'reallocator';
  readonly #init: ReallocatorInit;
  readonly #needs: ReallocatorNeeds;
  readonly #metrics: ReallocationMetrics;
  readonly #abort = new AbortController();
  #running = Promise.resolve();
  /** At the last look at all pins. */
  #left = 0;
  #cursor: Uint8Array | undefined;

  constructor(init: ReallocatorInit, needs: ReallocatorNeeds) {
    this.#init = init;
    this.#needs = needs;
    this.#metrics = reallocationMetrics(needs.metrics, () => this.#left);
  }

  async start(): Promise<void> {
    this.#running = this.#run().catch((error) => {
      if (!this.#abort.signal.aborted) this.#needs.logger.error('pins are no longer re-allocated', { error });
    });
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error('stopping'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, pinset } = this.#needs;
    let pauseMs = REALLOCATION_PAUSE_MS_MIN;
    for (;;) {
      const places = this.#needs.places();
      const { revision } = pinset.feed;
      const begunMs = clock.monotonicMs();
      let left = 0;
      let moved = 0;
      do {
        const pass = await this.#tried(places);
        left += pass.left;
        moved += pass.moved;
      } while (this.#cursor !== undefined);
      this.#left = left;
      pauseMs = moved > 0 ? REALLOCATION_PAUSE_MS_MIN : Math.min(REALLOCATION_PAUSE_MS_MAX, pauseMs * 2);
      // A large pinset must not be read all the time.
      const tookMs = clock.monotonicMs() - begunMs;
      const restMs = left > 0 ? pauseMs : Math.max(tookMs * 10, REALLOCATION_INTERVAL_MS);
      const isPressed = await this.#untilDue(places, clock.monotonicMs() + restMs, { revision, isLeft: left > 0 });
      if (isPressed) pauseMs = REALLOCATION_PAUSE_MS_MIN;
    }
  }

  /**
   * Until the peers stand otherwise, or pins were written that do not lie where they should (true), or the time has come to look at
   * all pins: for what is left, or for what was written too fast to be looked at.
   */
  async #untilDue(places: Places, fromMs: number, at: { revision: number; isLeft: boolean }): Promise<boolean> {
    const { clock, timers } = this.#needs;
    let { revision, isLeft } = at;
    for (;;) {
      await sleep(timers, REALLOCATION_CHECK_MS, this.#abort.signal);
      this.#tellHeld();
      if (this.#needs.places().fingerprint !== places.fingerprint) return false;
      if (clock.monotonicMs() >= fromMs && isLeft) return false;
      const written = this.#written(revision);
      revision = written.revision;
      if (written.keys === undefined) isLeft = true;
      else if (!isLeft && written.keys.some((key) => this.#concern(key, places) !== undefined)) return true;
    }
  }

  /** Keys written since a revision; undefined: too many. */
  #written(revision: number): { keys: readonly PinKey[] | undefined; revision: number } {
    const { feed } = this.#needs.pinset;
    const entries = feed.read(revision, REALLOCATION_WRITTEN_MAX);
    if (entries === 'gone') return { keys: undefined, revision: feed.revision };
    const last = entries.at(-1)?.revision ?? revision;
    const isAll = last === feed.revision && entries.every(({ everything }) => !everything);
    return { keys: isAll ? entries.flatMap(({ keys }) => keys) : undefined, revision: feed.revision };
  }

  #concern(key: PinKey, places: Places): Concern {
    const stored = unlessCorrupt(() => this.#needs.pinset.get(key));
    return stored && concernOf(stored, places);
  }

  #tellHeld(): void {
    const { monitor, held, peerId } = this.#needs;
    const away = held();
    if (away.length === 0) {
      monitor.clear('REALLOCATION_HELD', peerId);
      return;
    }
    const message =
      `${away.length} peers are away, and too few are up to move what lies there: ${away.join(', ')}. ` +
      'Bring them back, or take those that are lost for good off the list with "pinfold peers rm"';
    monitor.raise({ kind: 'REALLOCATION_HELD', peerId, message });
  }

  async #tried(places: Places): Promise<Pass> {
    try {
      if (this.#needs.consensus.refusal() === undefined) return await this.#pass(places);
    } catch (error) {
      this.#abort.signal.throwIfAborted();
      this.#needs.logger.warn('pins could not be re-allocated; trying again', { error });
    }
    this.#cursor = undefined;
    return { left: 1, moved: 0 };
  }

  /** From where the last one ended to the last pin, or to where too many were found. */
  async #pass(places: Places): Promise<Pass> {
    const found = new MostEndangered<PinKey>(REALLOCATION_QUEUE_MAX);
    const isMine = this.#share();
    const { clock, timers } = this.#needs;
    const { signal } = this.#abort;
    let others = 0;
    let begunMs = clock.monotonicMs();
    for await (const { pins, cursor } of pinPages(this.#needs, this.#cursor, signal)) {
      for (const stored of pins) {
        const concern = concernOf(stored, places);
        if (concern === undefined) continue;
        if (concern !== 'wait' && isMine(stored.key)) found.add(concern, stored.key);
        else others++;
      }
      this.#cursor = cursor;
      if (found.isFull) break;
      if (found.isEmpty) await sleep(timers, (clock.monotonicMs() - begunMs) * REALLOCATION_SCAN_REST, signal);
      begunMs = clock.monotonicMs();
    }
    const { left, moved } = await this.#move(found.items(), places);
    return { left: left + others, moved };
  }

  /** Whether it is this peer that acts on a key: the first in order of those that are up. Who does nothing is passed over after a while. */
  #share(): (key: PinKey) => boolean {
    const { monitor, clock, isTrusted, peerId: self } = this.#needs;
    const acting = monitor
      .members()
      .filter((member) => member.health === 'up' && !member.follower && isTrusted(member.peerId))
      .map(({ peerId }) => peerId);
    const period = Buffer.alloc(8);
    period.writeBigUInt64BE(BigInt(Math.floor(clock.nowMs() / ACTING_PEER_CHANGES_MS)));
    return (key) => rendezvousOrder(Buffer.concat([period, key]), acting)[0] === self;
  }

  async #move(keys: Iterable<PinKey>, places: Places): Promise<Pass> {
    let left = 0;
    let moved = 0;
    for (const some of inPieces(keys, REALLOCATED_AT_ONCE_MAX)) {
      // Planned for peers that stand otherwise by now: not done, and looked at from the beginning.
      if (this.#needs.places().fingerprint !== places.fingerprint) {
        this.#cursor = undefined;
        return { left: left + 1, moved };
      }
      const done = await this.#moveSome(some, places);
      left += done.left;
      moved += done.moved;
      await sleep(this.#needs.timers, (done.moved * 1000) / this.#init.pinsPerSecondMax, this.#abort.signal);
    }
    return { left, moved };
  }

  async #moveSome(keys: readonly PinKey[], places: Places): Promise<Pass> {
    const { pinset, consensus } = this.#needs;
    const { signal } = this.#abort;
    const plans = keys
      .flatMap((key) => unlessCorrupt(() => pinset.get(key)) ?? [])
      .filter((stored) => concernOf(stored, places) !== undefined)
      .map((stored) => ({ stored, desired: places.desired(stored) }));
    const holding = await holdings(
      this.#needs,
      plans.filter(({ stored, desired }) => stored.pin.allocations.some((peerId) => !desired.includes(peerId))),
      signal,
    );
    const requests: Request[] = [];
    let left = 0;
    for (const { stored, desired } of plans) {
      const { allocations: current, cid, replicationMin } = stored.pin;
      const next = nextPlacement({ current, desired, replicationMin, holding: (peerId) => holding(cid, peerId) });
      if (next.length > desired.length) left++;
      if (sameOrder(next, current)) continue;
      this.#metrics.added.add(next.filter((peerId) => !current.includes(peerId)).length);
      this.#metrics.dropped.add(current.filter((peerId) => !next.includes(peerId)).length);
      requests.push({ ops: [{ kind: 'amend', key: stored.key, basis: stored.etag, allocations: next }] });
    }
    if (requests.length === 0) return { left, moved: 0 };
    const outcomes = await consensus.commit(requests, { signal });
    const failed = outcomes.find((outcome) => !outcome.ok);
    if (failed?.ok === false) throw failed.error;
    this.#needs.logger.debug('pins re-allocated', { pins: requests.length });
    return { left, moved: requests.length };
  }
}

function* inPieces<T>(items: Iterable<T>, size: number): Iterable<T[]> {
  let piece: T[] = [];
  for (const item of items) {
    piece.push(item);
    if (piece.length < size) continue;
    yield piece;
    piece = [];
  }
  if (piece.length > 0) yield piece;
}

function sameOrder(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((peerId, i) => peerId === b[i]);
}
