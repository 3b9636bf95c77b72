import { type WatchEvent, type WatchMessage, type WatchQuery, watchPins } from '../../../src/cluster/watch.ts';
import type { Consensus } from '../../../src/consensus/consensus.ts';
import { byteString } from '../../../src/model/bytes.ts';
import { isAllocatedTo } from '../../../src/model/pin.ts';
import { pinKey } from '../../../src/model/pin-key.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { callContext, type WorldPeer, type world } from './world.ts';

export type World = Awaited<ReturnType<typeof world>>;
export const everything: WatchQuery = {
  filter: {},
  resumeToken: undefined,
  pinsOnly: false,
  changesOnly: false,
  statuses: [],
  peerIds: [],
};

export type Positions = Pick<Consensus, 'history' | 'flushedPosition' | 'changedSince'>;
export const noPositions: Positions = {
  history: Buffer.from('store'),
  flushedPosition: () => undefined,
  changedSince: () => 'gone',
};

export function watchAt(
  { peerId, pinset, tracker, monitor, rpc }: WorldPeer,
  { time, random }: World,
  consensus = noPositions,
) {
  const { clock, timers } = time;
  const all = {
    peerId,
    pinset,
    consensus,
    tracker: tracker.tracker,
    monitor,
    rpc,
    clock,
    timers,
    random,
  };
  return watchPins({ ...all, metrics: noMetrics });
}

/** What a client that applies the events knows. */
export function client(messages: AsyncIterable<WatchMessage>, call = callContext()) {
  const pins = new Map<string, string>();
  const statuses = new Map<string, string>();
  const peersHeard = new Set<string>();
  const events: WatchEvent[] = [];
  const tokens: Uint8Array[] = [];
  const self = {
    pins,
    statuses,
    events,
    tokens,
    caughtUp: 0,
    empty: 0,
    paused: false,
    error: undefined as unknown,
    ended: false,
    done: Promise.resolve(),
    stop: () => {
      self.paused = false;
      call.abort(new Error('enough'));
      return self.done;
    },
  };
  const nameOf = (cid: Uint8Array, namespace: string) => byteString(pinKey(cid, namespace));
  const forget = (peerId: string) => {
    for (const key of statuses.keys()) if (key.startsWith(peerId)) statuses.delete(key);
  };
  function apply(event: WatchEvent) {
    if (event.kind === 'pinned') {
      const key = byteString(event.stored.key);
      pins.set(key, event.stored.pin.name);
      for (const peerId of peersHeard) {
        if (!isAllocatedTo(event.stored.pin, peerId)) statuses.delete(`${peerId} ${key}`);
      }
    }
    if (event.kind === 'unpinned') {
      const key = nameOf(event.cid, event.namespace);
      pins.delete(key);
      for (const peerId of peersHeard) statuses.delete(`${peerId} ${key}`);
    }
    if (event.kind === 'status') {
      peersHeard.add(event.peer.peerId);
      statuses.set(`${event.peer.peerId} ${nameOf(event.cid, event.namespace)}`, event.peer.status);
    }
    if (event.kind === 'reset') forget(event.peerId);
    if (event.kind === 'peer-lost') forget(event.error.peerId);
  }
  self.done = (async () => {
    try {
      for await (const message of messages) {
        events.push(...message.events);
        message.events.forEach(apply);
        if (message.resumeToken !== undefined) tokens.push(message.resumeToken);
        if (message.caughtUp) self.caughtUp++;
        if (message.events.length === 0 && message.resumeToken === undefined && !message.caughtUp) self.empty++;
        while (self.paused) await new Promise((resolve) => setTimeout(resolve, 1));
      }
    } catch (error) {
      self.error = error;
    } finally {
      self.ended = true;
    }
  })();
  return { ...self, get: () => self };
}

export function open(w: World, peer: WorldPeer, query: Partial<WatchQuery> = {}, consensus?: Positions) {
  const call = callContext();
  return client(watchAt(peer, w, consensus)({ ...everything, ...query }, call), call).get();
}

export const count = (events: readonly WatchEvent[], kind: WatchEvent['kind']) =>
  events.filter((e) => e.kind === kind).length;
export const statusOf = (
  c: { statuses: Map<string, string> },
  peer: WorldPeer,
  cid: Uint8Array,
  namespace = 'default',
) => c.statuses.get(`${peer.peerId} ${byteString(pinKey(cid, namespace))}`);
