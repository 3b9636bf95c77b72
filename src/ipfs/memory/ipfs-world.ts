import type { CID } from 'multiformats/cid';
import { raceSignal } from '../../runtime/abort.ts';
import { sleep, type Timers } from '../../runtime/clock.ts';
import { type CallOptions, ConnectorError, type IpfsNodeId } from '../connector.ts';
import type { BlockStore } from '../node/block-store.ts';
import type { Exchange } from '../node/exchange.ts';

/** What goes wrong with a node in memory. May be changed at any time; all off at first. */
export interface MemoryFaults {
  /** Every call of its connector rejects with UNREACHABLE. */
  isDown: boolean;
  /** Its connector says of every pin that it is complete, without fetching or checking anything. */
  isLying: boolean;
  /** Other nodes neither reach it nor get anything from it. */
  isCutOff: boolean;
  /** What each block that it sends takes, besides the latency of the world, ms. */
  sendDelayMs: number;
  /** How many more blocks it sends before it falls silent. Default: Infinity. */
  sendsLeft: number;
  /** What each call of its connector takes, ms. */
  callDelayMs: number;
}

/** The network between nodes in memory. Nothing is connected at first. */
export class IpfsWorld {
  readonly timers: Timers;
  /** One block from one node to another, ms. Default 0: in the next microtasks. */
  latencyMs: number;
  readonly #nodes = new Map<string, MemoryExchange>();

  constructor(needs: { timers: Timers }, init: { latencyMs?: number } = {}) {
    this.timers = needs.timers;
    this.latencyMs = init.latencyMs ?? 0;
  }

  node(peerId: string): MemoryExchange | undefined {
    return this.#nodes.get(peerId);
  }

  join(node: MemoryExchange): void {
    this.#nodes.set(node.peerId, node);
  }

  leave(node: MemoryExchange): void {
    if (this.#nodes.get(node.peerId) === node) this.#nodes.delete(node.peerId);
  }
}

export interface MemoryExchangeInit {
  peerId: string;
  world: IpfsWorld;
  /** Nodes with different keys do not connect. */
  networkKey: string;
  blocks: BlockStore;
  faults: MemoryFaults;
}

/** A node's end of the world. Its address is `/memory/<peer>/p2p/<peer>`. */
export class MemoryExchange implements Exchange {
  readonly #init: MemoryExchangeInit;
  readonly #peers = new Set<MemoryExchange>();
  #changed = Promise.withResolvers<void>();

  constructor(init: MemoryExchangeInit) {
    this.#init = init;
  }

  get peerId(): string {
    return this.#init.peerId;
  }

  id(): IpfsNodeId {
    return { peerId: this.peerId, addresses: [`/memory/${this.peerId}/p2p/${this.peerId}`], agent: 'memory/1' };
  }

  async start(): Promise<void> {
    this.#init.world.join(this);
  }

  async stop(): Promise<void> {
    this.#init.world.leave(this);
    for (const peer of this.#peers) peer.#peers.delete(this);
    this.#peers.clear();
  }

  async connect(addresses: readonly string[], options: CallOptions): Promise<void> {
    options.signal.throwIfAborted();
    await this.#delay(0, options);
    for (const address of addresses) {
      const peer = this.#init.world.node(address.slice(address.lastIndexOf('/') + 1));
      if (peer === undefined || peer === this || !this.#reaches(peer)) continue;
      this.#peers.add(peer);
      peer.#peers.add(this);
      this.#wake();
      peer.#wake();
    }
  }

  async want(cid: CID, options: CallOptions): Promise<Uint8Array> {
    for (;;) {
      options.signal.throwIfAborted();
      const changed = this.#changed.promise;
      const bytes = await this.#ask(cid, options);
      if (bytes !== undefined) return bytes;
      await raceSignal(changed, options.signal);
    }
  }

  reask(): void {
    this.#wake();
  }

  have(): void {
    this.#wake();
    for (const peer of this.#peers) peer.#wake();
  }

  async #ask(cid: CID, options: CallOptions): Promise<Uint8Array | undefined> {
    const own = await this.#init.blocks.get(cid.multihash.bytes);
    if (own !== undefined) return own;
    for (const peer of this.#peers) {
      if (!this.#reaches(peer)) continue;
      const { blocks, faults } = peer.#init;
      const bytes = await blocks.get(cid.multihash.bytes);
      if (bytes === undefined || faults.sendsLeft <= 0) continue;
      faults.sendsLeft--;
      await this.#delay(faults.sendDelayMs, options);
      return bytes;
    }
    return undefined;
  }

  #reaches(peer: MemoryExchange): boolean {
    const isBothUp = !this.#init.faults.isCutOff && !peer.#init.faults.isCutOff && !peer.#init.faults.isDown;
    return isBothUp && this.#init.networkKey === peer.#init.networkKey;
  }

  async #delay(besidesMs: number, options: CallOptions): Promise<void> {
    const delayMs = this.#init.world.latencyMs + besidesMs;
    if (delayMs > 0) await sleep(this.#init.world.timers, delayMs, options.signal);
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

export function noFaults(): MemoryFaults {
  return {
    isDown: false,
    isLying: false,
    isCutOff: false,
    sendDelayMs: 0,
    sendsLeft: Number.POSITIVE_INFINITY,
    callDelayMs: 0,
  };
}

export function unreachable(): ConnectorError {
  return new ConnectorError('UNREACHABLE', 'the IPFS node in memory is down');
}
