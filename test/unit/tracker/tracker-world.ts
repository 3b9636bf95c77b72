import { setImmediate } from 'node:timers/promises';
import { defaultsOf } from '../../../src/config/option.ts';
import type { PinFields } from '../../../src/model/pin.ts';
import { pinKey } from '../../../src/model/pin-key.ts';
import type { WishStatus } from '../../../src/model/status.ts';
import type { PinsetInit } from '../../../src/pinset/pinset-init.ts';
import { pinsetTables } from '../../../src/pinset/tables.ts';
import { type Logger, silentLogger } from '../../../src/runtime/logger.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { type MemoryStorage, memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { type TrackerOptions, trackerOptions } from '../../../src/tracker/options.ts';
import { trackerTables } from '../../../src/tracker/tables.ts';
import type { Tracker } from '../../../src/tracker/tracker.ts';
import { tracker } from '../../../src/tracker/wish-tracker.ts';
import { PinsetWorld, type StoreHandle } from '../../suites/pinset-world.ts';
import { seededRandom, type VirtualTime, virtualTime } from '../../support/virtual-time.ts';
import { ScriptedNode, type TrackedConnector } from './scripted-node.ts';

export const self = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5';
export const other = '12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq';

export type Claim = Partial<PinFields> & { namespace?: string; allocations?: readonly string[] };

/** The node as one process sees it: a new one at each start. Once it is killed, nothing that process does reaches the node. */
export type NodeProcess = TrackedConnector & { kill(): void };

/** A tracker with the real pinset on memory storage and a scripted node (or another one), in virtual time. */
export class TrackerWorld {
  readonly time: VirtualTime;
  readonly node: ScriptedNode;
  readonly options: TrackerOptions;
  readonly pinsets: PinsetWorld;
  readonly #random: ReturnType<typeof seededRandom>;
  tracker: Tracker;
  /** Every error that was logged: what a test does not expect. */
  readonly errors: unknown[] = [];
  readonly logger: Logger = {
    ...silentLogger,
    error: (message, data) => void this.errors.push({ message, ...data }),
    child: () => this.logger,
  };
  history: Uint8Array = new Uint8Array(16);
  /** With flushing by hand: how often there is a chance of a flush. */
  flushIntervalMs = 3;
  readonly #windowWishesMax: number | undefined;
  #isManual = false;
  readonly #newConnector: () => NodeProcess;
  #connector: NodeProcess;

  private constructor(
    pinsets: PinsetWorld,
    time: VirtualTime,
    options: TrackerOptions,
    init: { seed?: number; windowWishesMax?: number; node?: (time: VirtualTime) => NodeProcess },
  ) {
    this.time = time;
    this.node = new ScriptedNode(time.timers);
    this.options = options;
    this.pinsets = pinsets;
    const { seed = 1, node = () => this.node.connector() } = init;
    this.#random = seededRandom(seed);
    this.#windowWishesMax = init.windowWishesMax;
    this.#newConnector = () => node(time);
    this.#connector = this.#newConnector();
    this.tracker = this.#make();
  }

  static async open(
    init: {
      options?: Partial<TrackerOptions>;
      pinset?: PinsetInit;
      seed?: number;
      windowWishesMax?: number;
      isManual?: boolean;
      node?: (time: VirtualTime) => NodeProcess;
    } = {},
  ): Promise<TrackerWorld> {
    const time = virtualTime();
    const flush = init.isManual ? 'manual' : 'auto';
    const storage = memoryStorage({ tables: [...pinsetTables, ...trackerTables], flush });
    const pinsets = await flushing(PinsetWorld.open(crashing(storage), init.pinset, time), () => storage);
    const options = { ...defaultsOf(trackerOptions), ...init.options };
    const world = new TrackerWorld(pinsets, time, options, init);
    if (init.isManual) {
      world.#isManual = true;
      world.#flushOn();
    }
    return world;
  }

  /** Commits at once and flushes when it pleases: what a crash takes. */
  #flushOn(): void {
    const { control } = this.pinsets.storage as MemoryStorage;
    const { queued, committed } = control.pending();
    if (queued > 0) control.commit();
    if (committed > 0 && this.#random.float() < 0.3) control.flush(1 + Math.floor(this.#random.float() * committed));
    this.time.timers.after(this.flushIntervalMs, () => this.#flushOn());
  }

  /** Writes pins, and waits for the disk unless flushing is by hand. */
  async #put(rows: Parameters<PinsetWorld['put']>[0]): Promise<void> {
    const { control } = this.pinsets.storage as MemoryStorage;
    const written = this.pinsets.put(rows);
    if (!this.#isManual) return written;
    // A crash may take it.
    written.catch(() => {});
    control.commit();
  }

  #make(): Tracker {
    return tracker(this.options, {
      storage: this.pinsets.storage,
      pinset: this.pinsets.pinset,
      connector: this.#connector,
      peerId: self,
      history: () => this.history,
      sources: (allocations) => allocations.map((peer) => `/memory/${peer}`),
      clock: this.time.clock,
      timers: this.time.timers,
      random: this.#random,
      logger: this.logger,
      metrics: noMetrics,
      ...(this.#windowWishesMax !== undefined && { windowWishesMax: this.#windowWishesMax }),
    });
  }

  /** The machine loses power: what was not flushed is gone, what the process did stops. Then `before`, and a start. */
  async crash(init?: PinsetInit, before: () => Promise<void> = async () => {}): Promise<void> {
    const old = this.tracker;
    this.#connector.kill();
    const crashed = this.pinsets.storage;
    await flushing(this.pinsets.restart(init), () =>
      this.pinsets.storage === crashed ? undefined : this.pinsets.storage,
    );
    const stopping = old.stop();
    await this.time.advance(0);
    await stopping;
    this.errors.length = 0;
    this.#connector = this.#newConnector();
    this.tracker = this.#make();
    await before();
    await this.tracker.start();
  }

  /** Stops, and fails if anything went wrong unseen. */
  async end(): Promise<void> {
    await this.#stopped();
    if (this.errors.length > 0) throw new Error('errors were logged', { cause: this.errors });
  }

  /** The flushes that the tracker waits for take virtual time. */
  async #stopped(): Promise<void> {
    let isStopped = false;
    const stopping = this.tracker.stop().then(() => {
      isStopped = true;
    });
    while (!isStopped) await this.time.advance(1);
    await stopping;
  }

  async restart(): Promise<void> {
    await this.#stopped();
    this.#connector = this.#newConnector();
    this.tracker = this.#make();
    await this.tracker.start();
  }

  /** Claims CIDs in one transaction; replaces what was claimed. */
  async pin(cids: readonly Uint8Array[], { namespace = 'default', allocations, ...fields }: Claim = {}): Promise<void> {
    const { names } = this.pinsets.pinset;
    names.namespaces.ensure(namespace);
    const isPlaced = allocations !== undefined;
    const rows = cids.map((cid) => ({
      key: pinKey(cid, namespace),
      row: [
        this.pinsets.dot(
          1,
          { ...fields, replicationMin: isPlaced ? 1 : -1, replicationMax: isPlaced ? 1 : -1 },
          { allocations: (allocations ?? []).map((peer) => names.peers.ensure(peer)) },
        ),
      ],
    }));
    await this.#put(rows);
  }

  async unpin(cids: readonly Uint8Array[], namespace = 'default'): Promise<void> {
    await this.#put(cids.map((cid) => ({ key: pinKey(cid, namespace), row: [] })));
  }

  status(cid: Uint8Array): WishStatus {
    return this.tracker.statuses([cid])[0] as WishStatus;
  }

  /** Lets virtual time pass until something holds; fails after `withinMs`. */
  async until(what: string, holds: () => boolean, withinMs = 10_000): Promise<void> {
    const end = this.time.clock.monotonicMs() + withinMs;
    while (!holds()) {
      if (this.time.clock.monotonicMs() > end) throw new Error(`in vain: ${what}`);
      await this.time.advance(5);
    }
  }
}

/** Flushes by hand until that has ended. */
async function flushing<T>(promise: Promise<T>, storage: () => Storage | undefined): Promise<T> {
  let isEnded = false;
  const end = () => {
    isEnded = true;
  };
  promise.then(end, end);
  while (!isEnded) {
    (storage() as MemoryStorage | undefined)?.control.flush();
    await setImmediate();
  }
  return promise;
}

function crashing(storage: MemoryStorage): StoreHandle {
  return { storage, reopen: async () => crashing(storage.control.crash('machine')) };
}
