import { statusRowCodecs } from '../../../src/cluster/status-row-codecs.ts';
import type { PeerCoreInit } from '../../../src/daemon/peer-core.ts';
import { type PeerCore, peerCore } from '../../../src/daemon/peer-core.ts';
import { type MemoryConnector, memoryConnector } from '../../../src/ipfs/memory/memory-connector.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { memoryAddress, memoryNetwork } from '../../../src/network/memory/memory-network.ts';
import type { Network } from '../../../src/network/network.ts';
import type { PeerPolicy } from '../../../src/network/peer-methods.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import { Lifecycle } from '../../../src/runtime/lifecycle.ts';
import type { MemoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import type { Machine } from './machine.ts';
import { SimDisk } from './sim-disk.ts';
import type { Endpoint } from './sim-hub.ts';
import { SimMetrics } from './sim-metrics.ts';
import { SimRandom } from './sim-random.ts';
import { TimerOwner } from './sim-time.ts';
import type { World } from './world.ts';

/** One run of a peer's daemon: everything between its start and its end, with the wiring of production. */
export class SimProcess {
  readonly machine: Machine;
  readonly number: number;
  readonly owner: TimerOwner;
  readonly disk: SimDisk;
  readonly connector: MemoryConnector;
  readonly endpoint: Endpoint;
  readonly core: PeerCore;
  readonly lifecycle: Lifecycle;
  readonly metrics = new SimMetrics();
  /** Rejects when the process ends; never resolves. For those who wait for an answer of it. */
  readonly died: Promise<never>;
  /** Peers that it keeps its log for, and since when. */
  readonly holders = new Map<string, number>();
  state: 'starting' | 'running' | 'stopping' | 'dead' = 'starting';
  /** The doors are open: aborts when they close, as open calls do. */
  readonly doors = new AbortController();
  #die!: (reason: Error) => void;

  constructor(world: World, machine: Machine, number: number, store: MemoryStorage) {
    this.machine = machine;
    this.number = number;
    this.owner = new TimerOwner(`${machine.name}#${number}`);
    this.died = new Promise((_, reject) => {
      this.#die = reject;
    });
    this.died.catch(() => {});
    this.disk = new SimDisk(store, {
      time: world.time,
      owner: world.owner,
      random: new SimRandom(world.plan.seed, `disk of ${this.owner.name}`),
      manner: machine.diskManner,
      onFlushed: () => world.flushed(this),
      onFailed: () => world.storeFailed(this),
    });
    this.endpoint = world.hub.endpoint(machine.name);
    const timers = world.time.timersOf(this.owner);
    const clock: Clock = {
      nowMs: () => Math.floor(world.wallMs()) + machine.clockOffsetMs,
      monotonicMs: () => world.time.nowMs,
    };
    const common = {
      clock,
      timers,
      random: new SimRandom(world.plan.seed, `process ${this.owner.name}`),
      logger: world.loggerOf(this),
      metrics: this.metrics.register,
    };
    this.connector = memoryConnector(
      { peerId: `node-of-${machine.name}`, world: world.ipfs, disk: machine.ipfsDisk },
      common,
    );
    Object.assign(this.connector.faults, machine.ipfsFaults);
    const init: PeerCoreInit = {
      config: machine.config,
      name: machine.name,
      version: '0.0.0-sim',
      identityStamp: machine.identityStamp,
      knowsOthers: machine.knowsOthers,
    };
    const network = (policy: PeerPolicy): Network => {
      const made = memoryNetwork(
        { peerId: machine.signer.peerId },
        { hub: this.endpoint, policy, codecs: statusRowCodecs, ...common },
      );
      for (const peerId of machine.bootstrap) made.remember(peerId, [memoryAddress(peerId)]);
      return made;
    };
    this.core = peerCore(init, {
      storage: this.disk,
      network,
      connector: this.connector,
      signer: machine.signer,
      isDiskLow: () => machine.diskManner.isLow,
      freeDiskBytes: () => Number.POSITIVE_INFINITY,
      saveTrust: async (peerIds) => machine.saveTrust(peerIds),
      ...common,
    });
    this.lifecycle = new Lifecycle([{ name: 'store', stop: () => this.disk.close() }, ...this.core.components]);
  }

  get name(): string {
    return this.owner.name;
  }

  get isDead(): boolean {
    return this.state === 'dead';
  }

  /** Its pinset has been opened: its names can be asked for. */
  get isOpen(): boolean {
    return this.disk.isWritten;
  }

  get isRunning(): boolean {
    return this.state === 'running';
  }

  /** The daemon closes its doors before all else: open calls end. */
  closeDoors(): void {
    this.doors.abort(new PinfoldError('SHUTTING_DOWN', 'this peer is stopping'));
  }

  /** Nothing of it is heard of again. Its memory is left as it is. */
  end(reason: string): void {
    this.state = 'dead';
    this.owner.isAlive = false;
    this.endpoint.die();
    this.#die(new Error(reason));
    // Frees the node's place in the world; what it was doing ends with its signals.
    this.connector.stop().catch(() => {});
  }
}
