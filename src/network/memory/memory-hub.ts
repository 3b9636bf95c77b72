import type { Timers } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { Topic } from '../network.ts';
import { type Deliver, type MemoryPipe, memoryPipes } from './memory-pipe.ts';

export interface MemoryHubInit {
  /** How long whatever goes from one peer to another takes, asked for each piece. Default: a microtask, no timer. */
  delayMs?: (from: string, to: string) => number;
  /** Of gossip; streams lose nothing but their connection. Default: 0. */
  dropProbability?: number;
}

export interface MemoryHubNeeds {
  timers: Timers;
  random: Random;
}

/** What the hub asks of the networks joined to it. */
export interface MemoryPeer {
  readonly peerId: string;
  /** Whether it would dial that peer by itself. */
  knows(peerId: string): boolean;
  linkChanged(peerId: string, up: boolean): void;
  onStream(pipe: MemoryPipe, from: string): void;
  onGossip(topic: Topic, message: Uint8Array, from: string): void;
}

interface Link {
  readonly ends: readonly [string, string];
  readonly pipes: Set<MemoryPipe>;
  readonly queues: Map<string, (() => void)[]>;
  /** Resolves when the link is cut. */
  readonly cut: PromiseWithResolvers<void>;
  up: boolean;
}

/**
 * Connects memory networks in one process. Peers of which one knows the other are connected while both are up and
 * no partition is between them; nothing else has to be waited for.
 */
export class MemoryHub {
  readonly #init: MemoryHubInit;
  readonly #needs: MemoryHubNeeds;
  readonly #peers = new Map<string, MemoryPeer>();
  readonly #links = new Map<string, Link>();
  readonly #cuts = new Set<string>();

  constructor(init: MemoryHubInit, needs: MemoryHubNeeds) {
    this.#init = init;
    this.#needs = needs;
  }

  /** Cuts what connects two peers, and keeps them apart until `heal`. */
  partition(a: string, b: string): void {
    this.#cuts.add(pairKey(a, b));
    this.#disconnect(pairKey(a, b));
  }

  heal(a: string, b: string): void {
    this.#cuts.delete(pairKey(a, b));
    this.meet(a);
  }

  join(peer: MemoryPeer): void {
    if (this.#peers.has(peer.peerId)) throw new Error(`${peer.peerId} has joined already`);
    this.#peers.set(peer.peerId, peer);
    this.meet(peer.peerId);
  }

  /** Ends all connections of a peer, as its stop, or its death, does. */
  leave(peerId: string): void {
    const left = [...this.#links].filter(([, { ends }]) => ends.includes(peerId));
    for (const [key] of left) this.#disconnect(key);
    this.#peers.delete(peerId);
  }

  /** Resolves when what the peer has sent so far has arrived or is lost. */
  async flush(peerId: string): Promise<void> {
    const links = [...this.#links.values()].filter(({ ends }) => ends.includes(peerId));
    await Promise.all(links.map((link) => this.#flushLink(link, peerId)));
  }

  /** Connects the peer with all whom it can and should be connected to. */
  meet(peerId: string): void {
    const peer = this.#peers.get(peerId);
    for (const other of [...this.#peers.values()]) {
      if (peer === undefined || other === peer) continue;
      if (peer.knows(other.peerId) || other.knows(peerId)) this.connect(peerId, other.peerId);
    }
  }

  /** False when the other is away or out of reach. */
  connect(a: string, b: string): boolean {
    const key = pairKey(a, b);
    if (this.#links.has(key)) return true;
    const [peerA, peerB] = [this.#peers.get(a), this.#peers.get(b)];
    if (peerA === undefined || peerB === undefined || this.#cuts.has(key)) return false;
    this.#links.set(key, { ends: [a, b], pipes: new Set(), queues: new Map(), cut: Promise.withResolvers(), up: true });
    peerA.linkChanged(b, true);
    peerB.linkChanged(a, true);
    return true;
  }

  connected(peerId: string): string[] {
    const links = [...this.#links.values()].filter(({ ends }) => ends.includes(peerId));
    return links.map(({ ends: [a, b] }) => (a === peerId ? b : a));
  }

  /** Undefined without a connection. */
  openStream(from: string, to: string): MemoryPipe | undefined {
    const link = this.#links.get(pairKey(from, to));
    if (link === undefined) return undefined;
    const [near, far] = memoryPipes(this.#deliverer(link, from, to), this.#deliverer(link, to, from));
    for (const pipe of [near, far]) {
      link.pipes.add(pipe);
      pipe.onClose(() => link.pipes.delete(pipe));
    }
    this.#deliver(link, from, to, () => this.#peers.get(to)?.onStream(far, from));
    return near;
  }

  gossip(from: string, to: string, topic: Topic, message: Uint8Array): void {
    const link = this.#links.get(pairKey(from, to));
    if (link === undefined) return;
    if (this.#needs.random.float() < (this.#init.dropProbability ?? 0)) return;
    const copy = message.slice();
    this.#deliver(link, from, to, () => this.#peers.get(to)?.onGossip(topic, copy, from));
  }

  #flushLink(link: Link, from: string): Promise<void> {
    const [a, b] = link.ends;
    const { promise: arrived, resolve } = Promise.withResolvers<void>();
    this.#deliver(link, from, from === a ? b : a, resolve);
    return Promise.race([arrived, link.cut.promise]);
  }

  #deliverer(link: Link, from: string, to: string): Deliver {
    return (fn) => this.#deliver(link, from, to, fn);
  }

  /** Each delivery takes the first of its queue, so that different delays do not change the order. */
  #deliver(link: Link, from: string, to: string, fn: () => void): void {
    const queue = link.queues.get(from) ?? [];
    link.queues.set(from, queue);
    queue.push(fn);
    const arrive = () => {
      const first = queue.shift();
      if (link.up) first?.();
    };
    const delayMs = this.#init.delayMs?.(from, to);
    if (delayMs === undefined) queueMicrotask(arrive);
    else this.#needs.timers.after(delayMs, arrive);
  }

  #disconnect(key: string): void {
    const link = this.#links.get(key);
    if (link === undefined) return;
    this.#links.delete(key);
    link.up = false;
    link.cut.resolve();
    for (const pipe of [...link.pipes]) pipe.cut(new Error('the connection was lost'));
    const [a, b] = link.ends;
    this.#peers.get(a)?.linkChanged(b, false);
    this.#peers.get(b)?.linkChanged(a, false);
  }
}

function pairKey(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
