import type { Consensus, Request } from '../../consensus/consensus.ts';
import type { CallContext } from '../../model/call-context.ts';
import { everywhere } from '../../model/pin.ts';
import type { Monitor } from '../../monitor/monitor.ts';
import type { Pinset, StoredPin } from '../../pinset/pinset.ts';
import { sleep, type Timers } from '../../runtime/clock.ts';
import { REALLOCATED_AT_ONCE_MAX, REBALANCE_TOLERANCE } from './constants.ts';
import { pinPages } from './pages.ts';
import type { Places } from './places.ts';
import { MoveCounts, type PlanStep } from './plan.ts';

/** Giving each peer its share of the pins, by the space that it has. */
export interface Rebalancing {
  plan(call: CallContext): AsyncIterable<PlanStep>;
  /** Begins the moves; the re-allocation takes the old copies away once there are new ones. */
  apply(call: CallContext): AsyncIterable<PlanStep>;
}

export interface RebalancingInit {
  pinsPerSecondMax: number;
}

export interface RebalancingNeeds {
  pinset: Pick<Pinset, 'keys' | 'get' | 'count'>;
  consensus: Pick<Consensus, 'commit' | 'refusal'>;
  monitor: Pick<Monitor, 'members' | 'member' | 'metric'>;
  places: () => Places;
  timers: Timers;
}

export function rebalancing(init: RebalancingInit, needs: RebalancingNeeds): Rebalancing {
  const { pinset, consensus, monitor, timers } = needs;

  async function* run(isToApply: boolean, { signal }: CallContext): AsyncIterable<PlanStep> {
    const places = needs.places();
    const counts = new MoveCounts(monitor);
    const of = 2 * pinset.count();
    let done = 0;
    const lying = new Map<string, number>();
    for await (const { pins } of pinPages(needs, undefined, signal)) {
      for (const stored of pins) {
        const { pin } = stored;
        counts.allocated(pin.allocations);
        if (pin.replicationMin === everywhere) counts.everywhere();
        else for (const peerId of places.desired(stored)) lying.set(peerId, (lying.get(peerId) ?? 0) + 1);
      }
      done += pins.length;
      yield { kind: 'progress', done, of };
    }
    const shares = new Shares(lying, places);
    for await (const { pins } of pinPages(needs, undefined, signal)) {
      const moves = pins.flatMap((stored) => moveOf(stored, places, shares));
      for (const { from, to } of moves) counts.moved(from, [to]);
      if (isToApply) await begin(moves, signal);
      done += pins.length;
      yield { kind: 'progress', done, of };
      if (!shares.isUneven) break;
    }
    yield { kind: 'plan', ...counts.plan() };
  }

  async function begin(moves: readonly Move[], signal: AbortSignal): Promise<void> {
    for (let i = 0; i < moves.length; i += REALLOCATED_AT_ONCE_MAX) {
      const requests = moves.slice(i, i + REALLOCATED_AT_ONCE_MAX).map(({ request }) => request);
      const outcomes = await consensus.commit(requests, { signal });
      for (const outcome of outcomes) if (!outcome.ok) throw outcome.error;
      await sleep(timers, (requests.length * 1000) / init.pinsPerSecondMax, signal);
    }
  }

  return {
    plan: (call) => run(false, call),
    async *apply(call) {
      const refusal = consensus.refusal();
      if (refusal !== undefined) throw refusal;
      yield* run(true, call);
    },
  };
}

interface Move {
  from: string;
  to: string;
  request: Request;
}

/** One peer of the pin gives it to another, at most; not if it were then spread over fewer regions, zones... than before. */
function moveOf(stored: StoredPin, places: Places, shares: Shares): Move[] {
  const { key, pin, etag } = stored;
  if (pin.replicationMin === everywhere || pin.allocations.some((peerId) => places.standing(peerId) === undefined)) {
    return [];
  }
  const lying = places.desired(stored);
  const from = shares.giver(lying);
  if (from === undefined) return [];
  const rest = lying.filter((peerId) => peerId !== from);
  const given = { ...stored, pin: { ...pin, allocations: rest } };
  const to = shares.taking.desired(given, lying.length).find((peerId) => !rest.includes(peerId));
  if (to === undefined || !places.isSpreadAsWell([...rest, to], lying)) return [];
  shares.move(from, to);
  const leaving = pin.allocations.filter((peerId) => !lying.includes(peerId));
  const allocations = [...rest, to, from, ...leaving];
  return [{ from, to, request: { ops: [{ kind: 'amend', key, basis: etag, allocations }] } }];
}

/** How much each peer has above or below its share of the pins, which is as its share of the space. */
class Shares {
  readonly #places: Places;
  readonly #above = new Map<string, number>();
  readonly #below = new Map<string, number>();
  /** As if only those took pins that have less than their share. */
  taking: Places;

  constructor(lying: ReadonlyMap<string, number>, places: Places) {
    this.#places = places;
    const sharing = places.peers
      .filter(({ standing }) => standing !== 'leaves')
      .map(({ peerId, standing, metrics }) => ({ peerId, standing, space: spaceOf(metrics) }))
      .filter(({ space: own }) => own > 0);
    const space = sharing.reduce((sum, peer) => sum + peer.space, 0);
    const pins = sharing.reduce((sum, { peerId }) => sum + (lying.get(peerId) ?? 0), 0);
    for (const peer of sharing) {
      const share = (pins * peer.space) / space;
      const has = lying.get(peer.peerId) ?? 0;
      if (has > share * (1 + REBALANCE_TOLERANCE)) this.#above.set(peer.peerId, Math.floor(has - share));
      else if (share - has >= 1 && peer.standing === 'takes') this.#below.set(peer.peerId, Math.floor(share - has));
    }
    this.taking = places.withTakers([...this.#below.keys()]);
  }

  get isUneven(): boolean {
    return this.#above.size > 0 && this.#below.size > 0;
  }

  /** The one of these that has most above its share. */
  giver(peerIds: readonly string[]): string | undefined {
    if (!this.isUneven) return undefined;
    const above = (peerId: string) => this.#above.get(peerId) ?? 0;
    const [most] = [...peerIds].sort((a, b) => above(b) - above(a) || (a < b ? -1 : 1));
    return most === undefined || above(most) === 0 ? undefined : most;
  }

  move(from: string, to: string): void {
    countDown(this.#above, from);
    countDown(this.#below, to);
    if (!this.#below.has(to)) this.taking = this.#places.withTakers([...this.#below.keys()]);
  }
}

/** Free and used, bytes; 0: not known. */
function spaceOf(metrics: ReadonlyMap<string, number | string>): number {
  const bytes = (name: string) => Number(metrics.get(name) ?? 0);
  return bytes('freespace') + bytes('reposize');
}

function countDown(counts: Map<string, number>, peerId: string): void {
  const left = (counts.get(peerId) ?? 0) - 1;
  if (left > 0) counts.set(peerId, left);
  else counts.delete(peerId);
}
