import type { WatchEvent as Told, WatchMessage } from '../../../src/cluster/watch.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { isAllocatedTo } from '../../../src/model/pin.ts';
import { pinKey } from '../../../src/model/pin-key.ts';
import { mergeSignals } from '../../../src/runtime/abort.ts';
import { hexOf } from '../checkers/hex.ts';
import type { WatchEvent } from '../plan/plan.ts';
import type { Machine } from '../world/machine.ts';
import type { SimProcess } from '../world/sim-process.ts';
import type { World } from '../world/world.ts';
import { pause } from './call.ts';

/** What a watch has told so far: pins by key, and of each the word of each peer. */
export interface Story {
  readonly pins: Map<string, { name: string; etag: string }>;
  /** Which machine has told of a key last, and of which store. */
  readonly tellers: Map<string, { readonly machine: Machine; readonly store: string }>;
  readonly statuses: Map<string, Map<string, string>>;
}

/** A client that watches, breaks off, and goes on at another peer by its token. At the end its story must be the listing. */
export class Watcher {
  readonly event: WatchEvent;
  readonly id: number;
  story = newStory();
  /** What the token stands for: a watch that is taken up goes on from there. */
  #atToken = newStory();
  /** The process that it follows now, and whether all that there was has been told. */
  process: SimProcess | undefined;
  isCaughtUp = false;
  /** Names of the machines that it has followed. */
  readonly peers = new Set<string>();
  /** Why the stream that is open ended; undefined: it goes on. */
  #token: Uint8Array | undefined;
  /** Whose story it is: another one after a copy was put back. */
  #store: string | undefined;
  #controller = new AbortController();
  #isOver = false;
  /** So often in a row the peer had not seen what the token names. */
  #unreachable = 0;
  readonly #world: World;

  constructor(world: World, id: number, event: WatchEvent) {
    this.#world = world;
    this.id = id;
    this.event = event;
  }

  async run(): Promise<void> {
    for (const [leg, { machine, forMs }] of this.event.legs.entries()) {
      const isLast = leg === this.event.legs.length - 1;
      await this.#leg(machine, isLast ? Number.POSITIVE_INFINITY : forMs);
      if (this.#isOver) return;
    }
  }

  /** The client goes away. */
  stop(): void {
    this.#isOver = true;
    this.#controller.abort(new Error('the client went away'));
  }

  /** Follows one peer, again and again when it breaks off, for so long. */
  async #leg(machine: number, forMs: number): Promise<void> {
    const untilMs = this.#world.time.nowMs + forMs;
    const end =
      forMs === Number.POSITIVE_INFINITY
        ? undefined
        : this.#world.time.after(this.#world.owner, forMs, () => this.#controller.abort(new Error('the next leg')));
    while (!this.#isOver && this.#world.time.nowMs < untilMs) {
      const isGone = this.#world.machine(machine).isGone;
      const process = isGone ? this.#world.up()[0] : this.#world.running(machine);
      if (process !== undefined) await this.#follow(process);
      if (this.#controller.signal.aborted && !this.#isOver) break;
      await pause(this.#world, 300);
    }
    end?.cancel();
    if (!this.#isOver) this.#controller = new AbortController();
  }

  async #follow(process: SimProcess): Promise<void> {
    const { event } = this;
    const filter = event.namespace === undefined ? {} : { namespaces: [event.namespace] };
    const all = { changesOnly: false, statuses: [], peerIds: [] };
    const query = { ...all, filter, resumeToken: this.#token, pinsOnly: event.pinsOnly };
    const { signal } = mergeSignals(this.#controller.signal, process.doors.signal);
    const call = { principal: 'anonymous', namespaces: 'all', deadlineMs: undefined, signal } as const;
    // A listing from the start: what was told before is not built upon.
    if (this.#token === undefined) this.#atToken = newStory();
    const { pins, tellers } = this.story;
    this.story = copied(this.#atToken);
    // What the same store has told of pins, it still has.
    if (this.#token !== undefined && this.#store === process.machine.storeName)
      Object.assign(this.story, { pins, tellers });
    this.#store = process.machine.storeName;
    this.process = process;
    this.peers.add(process.machine.name);
    this.isCaughtUp = false;
    const stream = process.core.watchPins(query, call)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await Promise.race([stream.next(), process.died]);
        if (next.done === true) break;
        this.#hear(next.value);
      }
    } catch (problem) {
      this.#ended(problem);
    } finally {
      this.process = undefined;
      void stream.return?.().catch(() => {});
    }
  }

  #ended(problem: unknown): void {
    const code = isPinfoldError(problem) ? problem.code : 'ended';
    this.#world.trace.add(this.#world.time.nowMs, `watch ${this.id}: ${code}`);
    // The stories that the contract lets end: list again. What a token names may be lost with the only disk that had it.
    this.#unreachable = code === 'PEER_UNREACHABLE' ? this.#unreachable + 1 : 0;
    if (code === 'HISTORY_GONE' || code === 'INVALID_TOKEN' || this.#unreachable > 2) this.#token = undefined;
  }

  #hear({ events, resumeToken, caughtUp }: WatchMessage): void {
    for (const event of events) this.#tell(event);
    if (resumeToken !== undefined) {
      this.#token = resumeToken;
      this.#atToken = copied(this.story);
    }
    if (caughtUp) this.isCaughtUp = true;
  }

  #toldOf(key: string): void {
    if (this.process === undefined) return;
    const { machine } = this.process;
    this.story.tellers.set(key, { machine, store: machine.storeName });
  }

  #tell(event: Told): void {
    const { pins, statuses } = this.story;
    if (event.kind === 'pinned') {
      const key = hexOf(event.stored.key);
      this.#toldOf(key);
      pins.set(key, { name: event.stored.pin.name, etag: hexOf(event.stored.etag) });
      // What was told of peers that it does not lie on is over.
      for (const peerId of [...(statuses.get(key)?.keys() ?? [])]) {
        if (!isAllocatedTo(event.stored.pin, peerId)) statuses.get(key)?.delete(peerId);
      }
    } else if (event.kind === 'unpinned') {
      const key = hexOf(pinKey(event.cid, event.namespace));
      this.#toldOf(key);
      pins.delete(key);
      statuses.delete(key);
    } else if (event.kind === 'status') {
      const key = hexOf(pinKey(event.cid, event.namespace));
      const of = statuses.get(key) ?? new Map<string, string>();
      statuses.set(key, of);
      of.set(event.peer.peerId, event.peer.status);
    } else {
      const peerId = event.kind === 'reset' ? event.peerId : event.error.peerId;
      for (const of of statuses.values()) of.delete(peerId);
    }
  }
}

function newStory(): Story {
  return { pins: new Map(), tellers: new Map(), statuses: new Map() };
}

function copied({ pins, tellers, statuses }: Story): Story {
  return {
    pins: new Map(pins),
    tellers: new Map(tellers),
    statuses: new Map([...statuses].map(([key, of]) => [key, new Map(of)])),
  };
}
