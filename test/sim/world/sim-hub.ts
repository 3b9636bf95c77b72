import type { MemoryPeer } from '../../../src/network/memory/memory-hub.ts';
import type { Hub } from '../../../src/network/memory/memory-network.ts';
import { type Deliver, type MemoryPipe, memoryPipes } from '../../../src/network/memory/memory-pipe.ts';
import type { Topic } from '../../../src/network/network.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimTime, TimerOwner } from './sim-time.ts';

/** How the network behaves; the world changes it while it runs. */
export interface NetworkManner {
  /** One way, ms: half of it to one and a half. */
  latencyMs: number;
  gossipLoss: number;
  gossipTwice: number;
  /** Of gossip: so much later than its turn, at most, ms. */
  gossipLateMs: number;
  /** Of stream pieces: lost and sent again. */
  streamLoss: number;
  /** After a connection was lost it is tried again so much later, ms. */
  redialMs: number;
  /** A connection on which nothing gets through is given up after so long, ms. */
  silenceMs: number;
}

interface Piece {
  readonly atMs: number;
  readonly fn: () => void;
}

interface Direction {
  readonly queue: Piece[];
  isScheduled: boolean;
  lastMs: number;
  delayAtMs: number;
  delayMs: number;
}

interface Link {
  readonly ends: readonly [Endpoint, Endpoint];
  readonly pipes: Set<MemoryPipe>;
  readonly directions: readonly [Direction, Direction];
  readonly cut: PromiseWithResolvers<void>;
  isUp: boolean;
  /** Nothing has got through in one direction since then. */
  silentSinceMs: number | undefined;
}

export interface SimHubNeeds {
  time: SimTime;
  owner: TimerOwner;
  random: SimRandom;
  manner: NetworkManner;
}

/**
 * The network between processes. Two processes may have one peer ID: a peer is then connected with one of them, whichever it
 * met first.
 */
export class SimHub {
  readonly needs: SimHubNeeds;
  readonly endpoints: Endpoint[] = [];
  readonly links: Link[] = [];
  /** `from to`, by name of the machine: what is sent that way is not delivered. */
  readonly #blocked = new Set<string>();
  readonly #slow = new Map<string, number>();

  constructor(needs: SimHubNeeds) {
    this.needs = needs;
  }

  endpoint(machine: string): Endpoint {
    return new Endpoint(this, machine);
  }

  block(from: string, to: string): void {
    this.#blocked.add(`${from} ${to}`);
    for (const link of this.#between(from, to)) this.#watchSilence(link);
  }

  unblock(from: string, to: string): void {
    this.#blocked.delete(`${from} ${to}`);
    for (const link of this.#between(from, to)) {
      if (!this.#isSilent(link)) link.silentSinceMs = undefined;
      this.#run(link, 0);
      this.#run(link, 1);
    }
    this.redial();
  }

  slow(from: string, to: string, factor: number): void {
    if (factor === 1) this.#slow.delete(`${from} ${to}`);
    else this.#slow.set(`${from} ${to}`, factor);
  }

  heal(): void {
    this.#slow.clear();
    for (const pair of [...this.#blocked]) this.unblock(...(pair.split(' ') as [string, string]));
  }

  /** Resets every stream between two machines; the connection stays. */
  cutStreams(a: string, b: string): void {
    for (const link of this.#between(a, b))
      for (const pipe of [...link.pipes]) pipe.abort(new Error('the stream was reset'));
  }

  /** The connection is lost; it comes again. */
  disconnectMachines(a: string, b: string): void {
    for (const link of this.#between(a, b)) this.disconnect(link);
  }

  connect(a: Endpoint, peerId: string): boolean {
    if (a.linkTo(peerId) !== undefined) return true;
    const b = this.endpoints.find((other) => other.peer?.peerId === peerId && other !== a && this.#reaches(a, other));
    if (b === undefined || a.peer === undefined || b.peer === undefined || a.peer.peerId === peerId) return false;
    if (b.linkTo(a.peer.peerId) !== undefined) return false;
    const link: Link = {
      ends: [a, b],
      pipes: new Set(),
      directions: [direction(), direction()],
      cut: Promise.withResolvers(),
      isUp: true,
      silentSinceMs: undefined,
    };
    this.links.push(link);
    a.links.push(link);
    b.links.push(link);
    a.peer.linkChanged(peerId, true);
    b.peer?.linkChanged(a.peer.peerId, true);
    return true;
  }

  disconnect(link: Link): void {
    if (!link.isUp) return;
    link.isUp = false;
    this.links.splice(this.links.indexOf(link), 1);
    for (const end of link.ends) end.links.splice(end.links.indexOf(link), 1);
    link.cut.resolve();
    for (const pipe of [...link.pipes]) pipe.cut(new Error('the connection was lost'));
    const [a, b] = link.ends;
    a.peer?.linkChanged(b.peerId, false);
    b.peer?.linkChanged(a.peerId, false);
    this.redial();
  }

  /** Soon, those that know of each other and are not connected are. */
  redial(): void {
    const { time, owner, random, manner } = this.needs;
    time.after(owner, manner.redialMs * (0.5 + random.float()), () => {
      for (const endpoint of [...this.endpoints]) this.meet(endpoint);
    });
  }

  meet(endpoint: Endpoint): void {
    for (const other of [...this.endpoints]) {
      if (endpoint.peer === undefined || other.peer === undefined || other === endpoint) continue;
      if (endpoint.peer.knows(other.peerId) || other.peer.knows(endpoint.peerId)) this.connect(endpoint, other.peerId);
    }
  }

  /** In order; what is sent in one instant arrives in one. */
  deliver(link: Link, from: Endpoint, fn: () => void): void {
    const index = link.ends[0] === from ? 0 : 1;
    const direction = link.directions[index];
    direction.lastMs = Math.max(direction.lastMs, this.needs.time.nowMs + this.#delay(link, from, direction));
    direction.queue.push({ atMs: direction.lastMs, fn });
    this.#run(link, index);
  }

  gossip(from: Endpoint, peerId: string, topic: Topic, message: Uint8Array): void {
    const { random, manner, time, owner } = this.needs;
    const link = from.linkTo(peerId);
    if (link === undefined) return;
    const to = otherEnd(link, from);
    const times = random.chance(manner.gossipTwice) ? 2 : 1;
    for (let i = 0; i < times; i++) {
      if (random.chance(manner.gossipLoss)) continue;
      const copy = message.slice();
      const delayMs = this.#oneWay(from, to) + manner.gossipLateMs * random.float() ** 4;
      time.after(owner, delayMs, () => {
        if (link.isUp && !this.isBlocked(from, to)) to.peer?.onGossip(topic, copy, from.peerId);
      });
    }
  }

  isBlocked(from: Endpoint, to: Endpoint): boolean {
    return this.#blocked.has(`${from.machine} ${to.machine}`);
  }

  #reaches(a: Endpoint, b: Endpoint): boolean {
    return !this.isBlocked(a, b) && !this.isBlocked(b, a);
  }

  #between(a: string, b: string): Link[] {
    return this.links.filter(({ ends: [x, y] }) => {
      return (x.machine === a && y.machine === b) || (x.machine === b && y.machine === a);
    });
  }

  #oneWay(from: Endpoint, to: Endpoint): number {
    const { random, manner } = this.needs;
    const factor = this.#slow.get(`${from.machine} ${to.machine}`) ?? 1;
    return manner.latencyMs * factor * (0.5 + random.float());
  }

  #delay(link: Link, from: Endpoint, direction: Direction): number {
    const { time, random, manner } = this.needs;
    if (direction.delayAtMs === time.nowMs) return direction.delayMs;
    direction.delayAtMs = time.nowMs;
    direction.delayMs = this.#oneWay(from, otherEnd(link, from));
    if (random.chance(manner.streamLoss)) direction.delayMs += 200 * (1 + random.float());
    return direction.delayMs;
  }

  #run(link: Link, index: 0 | 1): void {
    const direction = link.directions[index];
    const [first] = direction.queue;
    if (first === undefined || direction.isScheduled || !link.isUp) return;
    const [from, to] = index === 0 ? link.ends : [link.ends[1], link.ends[0]];
    if (this.isBlocked(from, to)) return;
    direction.isScheduled = true;
    const { time, owner } = this.needs;
    time.after(owner, first.atMs - time.nowMs, () => {
      direction.isScheduled = false;
      if (!link.isUp || this.isBlocked(from, to)) return;
      while (direction.queue.length > 0 && (direction.queue[0] as Piece).atMs <= time.nowMs) {
        (direction.queue.shift() as Piece).fn();
        if (!link.isUp) return;
      }
      this.#run(link, index);
    });
  }

  #isSilent({ ends: [a, b] }: Link): boolean {
    return this.isBlocked(a, b) || this.isBlocked(b, a);
  }

  #watchSilence(link: Link): void {
    if (link.silentSinceMs !== undefined) return;
    const { time, owner, random, manner } = this.needs;
    const sinceMs = time.nowMs;
    link.silentSinceMs = sinceMs;
    time.after(owner, manner.silenceMs * (0.2 + random.float()), () => {
      if (link.isUp && link.silentSinceMs === sinceMs && this.#isSilent(link)) this.disconnect(link);
    });
  }
}

/** One process on the network. Dead, it does nothing any more, whatever code of it still runs. */
export class Endpoint implements Hub {
  readonly machine: string;
  readonly links: Link[] = [];
  peer: MemoryPeer | undefined;
  peerId = '';
  isDead = false;
  readonly #hub: SimHub;

  constructor(hub: SimHub, machine: string) {
    this.#hub = hub;
    this.machine = machine;
  }

  linkTo(peerId: string): Link | undefined {
    return this.links.find((link) => otherEnd(link, this).peerId === peerId);
  }

  die(): void {
    this.leave();
    this.isDead = true;
  }

  join(peer: MemoryPeer): void {
    if (this.isDead) return;
    this.peer = peer;
    this.peerId = peer.peerId;
    this.#hub.endpoints.push(this);
    this.#hub.meet(this);
  }

  leave(): void {
    if (this.isDead) return;
    this.peer = undefined;
    const at = this.#hub.endpoints.indexOf(this);
    if (at >= 0) this.#hub.endpoints.splice(at, 1);
    for (const link of [...this.links]) this.#hub.disconnect(link);
  }

  async flush(): Promise<void> {
    await Promise.all(this.links.map((link) => this.#flushLink(link)));
  }

  meet(): void {
    if (!this.isDead) this.#hub.meet(this);
  }

  connect(_: string, peerId: string): boolean {
    return !this.isDead && this.#hub.connect(this, peerId);
  }

  connected(): string[] {
    return this.links.map((link) => otherEnd(link, this).peerId);
  }

  openStream(_: string, peerId: string): MemoryPipe | undefined {
    const link = this.isDead ? undefined : this.linkTo(peerId);
    if (link === undefined) return undefined;
    const other = otherEnd(link, this);
    const [near, far] = memoryPipes(this.#deliverer(link), other.#deliverer(link));
    for (const pipe of [near, far]) {
      link.pipes.add(pipe);
      pipe.onClose(() => link.pipes.delete(pipe));
    }
    this.#hub.deliver(link, this, () => other.peer?.onStream(far, this.peerId));
    return near;
  }

  gossip(_: string, peerId: string, topic: Topic, message: Uint8Array): void {
    if (!this.isDead) this.#hub.gossip(this, peerId, topic, message);
  }

  #deliverer(link: Link): Deliver {
    return (fn) => {
      if (!this.isDead && link.isUp) this.#hub.deliver(link, this, fn);
    };
  }

  #flushLink(link: Link): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hub.deliver(link, this, resolve);
    return Promise.race([promise, link.cut.promise]);
  }
}

function direction(): Direction {
  return { queue: [], isScheduled: false, lastMs: 0, delayAtMs: -1, delayMs: 0 };
}

function otherEnd({ ends: [a, b] }: Link, end: Endpoint): Endpoint {
  return a === end ? b : a;
}
