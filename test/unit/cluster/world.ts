import { setImmediate } from 'node:timers/promises';
import { pinWorkHandlers } from '../../../src/cluster/pin-work.ts';
import { statusHandlers } from '../../../src/cluster/status-handlers.ts';
import { nodeUp } from '../../../src/ipfs/node-state.ts';
import { byteString, compareBytes } from '../../../src/model/bytes.ts';
import type { CallContext } from '../../../src/model/call-context.ts';
import { toV1 } from '../../../src/model/cid.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { isAllocatedTo, type PinFields } from '../../../src/model/pin.ts';
import { pinKey, pinKeyPrefix } from '../../../src/model/pin-key.ts';
import type { TrackerStatus, WishStatus } from '../../../src/model/status.ts';
import type { Member, Monitor, MonitorChange } from '../../../src/monitor/monitor.ts';
import type { PeerRpc } from '../../../src/network/network.ts';
import { encodePinValue } from '../../../src/pinset/codec/pin-value.ts';
import { pinset as localPinset } from '../../../src/pinset/local-pinset.ts';
import type { Pinset } from '../../../src/pinset/pinset.ts';
import { pinsetTables } from '../../../src/pinset/tables.ts';
import { ed25519Signer } from '../../../src/runtime/ed25519.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { type MemoryStorage, memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import type { Tracker, WorkPlace } from '../../../src/tracker/tracker.ts';
import { seededRandom, virtualTime } from '../../support/virtual-time.ts';

/** Binary CIDs of version 1, raw, of nothing in particular. */
export function cidOf(number: number): Uint8Array {
  const cid = new Uint8Array(36).fill(number & 255);
  cid.set([1, 0x55, 0x12, 32, number >> 8, number & 255]);
  return cid;
}

export type TestTracker = ReturnType<typeof testTracker>;

/** Rows that the test sets, with a feed that can forget. */
function testTracker(peerId: string, pinset: Pick<Pinset, 'claims'>) {
  const rows = new Map<string, WishStatus>();
  let changes: { revision: number; cid: Uint8Array }[] = [];
  let revision = 0;
  let oldest = 0;
  let history = 'as it was';
  let waiters: (() => void)[] = [];
  const feed = {
    incarnation: Buffer.from(`index of ${peerId}`) as Uint8Array,
    get revision() {
      return revision;
    },
    mark: (at: number) => Buffer.from(`${history} ${at}`),
    read(from: number, limit: number) {
      if (from < oldest) return 'gone' as const;
      const some = changes.filter((change) => change.revision > from).slice(0, limit);
      const cids = new Map(some.map(({ cid }) => [byteString(cid), cid]));
      return { revision: some.at(-1)?.revision ?? from, rows: [...cids.values()].map(present) };
    },
    wait(from: number, { signal }: { signal: AbortSignal }) {
      return new Promise<void>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        if (revision > from) return resolve();
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        waiters.push(resolve);
      });
    },
  };

  function present(cid: Uint8Array): WishStatus {
    return rows.get(byteString(cid)) ?? made(cid, 'unpinned');
  }

  function made(cid: Uint8Array, status: TrackerStatus, more: Partial<WishStatus> = {}): WishStatus {
    return { cid, status, sinceMs: 1, attempts: 0, errorClass: undefined, error: '', retryAtMs: 0, ...more };
  }

  function derived(cid: Uint8Array): WishStatus {
    const claims = pinset.claims(cid);
    if (claims.some(({ pin }) => isAllocatedTo(pin, peerId))) return made(cid, 'pin_queued', { sinceMs: 0 });
    return made(cid, claims.length > 0 ? 'remote' : 'unpinned', { sinceMs: 0 });
  }

  function sorted(after: Uint8Array | undefined, limit: number, keep: (row: WishStatus) => boolean) {
    const from = after === undefined ? undefined : pinKeyPrefix(after);
    return [...rows.values()]
      .filter((row) => keep(row) && (from === undefined || compareBytes(pinKeyPrefix(row.cid), from) > 0))
      .sort((a, b) => compareBytes(pinKeyPrefix(a.cid), pinKeyPrefix(b.cid)))
      .slice(0, limit);
  }

  let place: WorkPlace = {
    ...{ stage: 'idle', lane: undefined, ahead: 0, underWay: 0, underWayMax: 10, isNodeDown: false },
  };
  const tracker: Pick<Tracker, 'statuses' | 'listIndexed' | 'listAll' | 'recover' | 'feed' | 'placeOf'> = {
    placeOf: () => place,
    statuses: (cids) => cids.map((cid) => rows.get(byteString(cid)) ?? derived(cid)),
    listIndexed: (statuses, after, limit) =>
      sorted(after, limit, ({ status }) => (statuses as readonly TrackerStatus[]).includes(status)),
    listAll: (after, limit) => sorted(after, limit, () => true),
    async *recover(cids) {
      const failed = [...rows.values()].filter(
        ({ cid, status }) =>
          status === 'pin_error' && (cids === undefined || cids.some((c) => compareBytes(c, cid) === 0)),
      );
      if (failed.length > 0) yield failed.map(({ cid }) => made(cid, 'pin_queued'));
    },
    feed,
  };
  return {
    tracker,
    setPlace(changes: Partial<WorkPlace>) {
      place = { ...place, ...changes };
    },
    set(cid: Uint8Array, status: TrackerStatus | undefined, more: Partial<WishStatus> = {}) {
      const v1 = toV1(cid);
      if (status === undefined) rows.delete(byteString(v1));
      else rows.set(byteString(v1), made(v1, status, more));
      revision++;
      changes.push({ revision, cid: v1 });
      const woken = waiters;
      waiters = [];
      for (const wake of woken) wake();
    },
    /** The feed reaches back to now only. */
    forget() {
      oldest = revision;
      changes = [];
    },
    /** The disk is put back, and what was told since is told otherwise, under the same numbers. */
    putBack() {
      history = 'another';
    },
  };
}

export interface WorldPeer {
  peerId: string;
  storage: MemoryStorage;
  pinset: Pinset;
  tracker: TestTracker;
  monitor: Pick<Monitor, 'members' | 'member' | 'onChange'>;
  rpc: PeerRpc;
  /** Calls that this peer has open or made, by method. */
  calls: Map<string, number>;
  /** Status rows that came in answers to this peer, by method. */
  rowsReceived: Map<string, number>;
  write(cid: Uint8Array, pin: Partial<PinFields> & { namespace?: string; allocations?: string[] }): Promise<void>;
  remove(cid: Uint8Array, namespace?: string): Promise<void>;
}

export async function world(count: number, flush: 'auto' | 'manual' = 'auto') {
  const time = virtualTime();
  const random = seededRandom(1);
  const cut = new Set<string>();
  const hanging = new Set<string>();
  const listeners = new Set<(change: MonitorChange) => void>();
  const ids = Array.from({ length: count }, (_, i) => ed25519Signer(new Uint8Array(32).fill(i + 1)).peerId);
  const members = ids.map((peerId, i) => ({ peerId, name: `peer-${i + 1}`, health: 'up' }) as Member);
  const peers: WorldPeer[] = [];
  /** Calls under way to each peer, so that a cut ends them. */
  const open = new Map<string, Set<AbortController>>();

  for (const peerId of ids) peers.push(await makePeer(peerId));

  async function makePeer(peerId: string): Promise<WorldPeer> {
    const storage = memoryStorage({ tables: pinsetTables, flush });
    const pinset = localPinset(
      {},
      { storage, clock: time.clock, timers: time.timers, logger: silentLogger, metrics: noMetrics },
    );
    let isOpen = false;
    const opening = pinset.open().then(() => {
      isOpen = true;
    });
    for (; !isOpen; await setImmediate()) storage.control.flush();
    await opening;
    const replica = pinset.names.replicas.ensure(Buffer.from(peerId.slice(-16)));
    let sequence = 0;
    const calls = new Map<string, number>();
    const rowsReceived = new Map<string, number>();
    const self: WorldPeer = {
      peerId,
      storage,
      pinset,
      tracker: testTracker(peerId, pinset),
      monitor: {
        members: () => [...members].sort((a, b) => Number(b.peerId === peerId) - Number(a.peerId === peerId)),
        member: (id) => members.find((member) => member.peerId === id),
        onChange(listener) {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      },
      rpc: rpcOf(peerId, calls, rowsReceived),
      calls,
      rowsReceived,
      async write(cid, { namespace = 'default', allocations = [], ...fields }) {
        const numbers = allocations.map((id) => pinset.names.peers.ensure(id)).sort((a, b) => a - b);
        pinset.names.namespaces.ensure(namespace);
        const key = pinKey(cid, namespace);
        const min = allocations.length === 0 ? -1 : allocations.length;
        const value = encodePinValue({
          name: '',
          mode: 'recursive',
          replicationMin: min,
          replicationMax: min,
          userAllocations: [],
          metadata: [],
          origins: [],
          createdMs: 1000,
          expiresMs: 0,
          updatedFrom: undefined,
          type: 'data',
          ...fields,
        });
        sequence++;
        const stamp = sequence * 1024;
        const dot = {
          replica,
          sequence,
          stamp,
          value,
          placementStamp: stamp,
          placementReplica: replica,
          allocations: numbers,
        };
        const commit = storage.transaction((tx) => {
          pinset.write(tx, [{ key, before: pinset.row(tx, key), after: [dot] }]);
        });
        if (flush === 'auto') await commit.flushed;
      },
      async remove(cid, namespace = 'default') {
        const key = pinKey(cid, namespace);
        await storage.transaction((tx) => pinset.write(tx, [{ key, before: pinset.row(tx, key), after: [] }])).flushed;
      },
    };
    return self;
  }

  function rpcOf(from: string, calls: Map<string, number>, rowsReceived: Map<string, number>): PeerRpc {
    return {
      serve() {},
      async *call(to, method, requests, { signal }) {
        calls.set(method, (calls.get(method) ?? 0) + 1);
        const callee = peers.find(({ peerId }) => peerId === to);
        if (cut.has(to) || callee === undefined) throw new PinfoldError('PEER_UNREACHABLE', 'it does not answer');
        const abort = new AbortController();
        const end = () => abort.abort(signal.reason);
        signal.addEventListener('abort', end, { once: true });
        if (!open.has(to)) open.set(to, new Set());
        open.get(to)?.add(abort);
        try {
          if (hanging.has(to)) await never(abort.signal);
          const { tracker } = callee.tracker;
          const handlers = {
            ...statusHandlers({ tracker, timers: time.timers }),
            ...pinWorkHandlers({ tracker, ipfsState: () => nodeUp }),
          };
          const handler = handlers[method as keyof typeof handlers] as unknown as (
            requests: AsyncIterable<unknown>,
            context: { peerId: string; signal: AbortSignal },
          ) => AsyncIterable<{ rows?: unknown[] }>;
          for await (const response of handler(asAsync(requests), { peerId: from, signal: abort.signal })) {
            rowsReceived.set(method, (rowsReceived.get(method) ?? 0) + (response.rows?.length ?? 0));
            yield response as never;
          }
        } finally {
          open.get(to)?.delete(abort);
        }
      },
    };
  }

  return {
    time,
    random,
    ids,
    peers,
    members,
    hanging,
    openCalls: (to: string) => open.get(to)?.size ?? 0,
    changed: (peerId: string) => {
      for (const listener of [...listeners]) listener({ kind: 'record', peerId });
    },
    lose(peerId: string) {
      cut.add(peerId);
      for (const abort of open.get(peerId) ?? [])
        abort.abort(new PinfoldError('PEER_UNREACHABLE', 'the connection ended'));
    },
    heal(peerId: string) {
      cut.delete(peerId);
      hanging.delete(peerId);
    },
    /** Time passes until it is so; fails after a minute of it. */
    async until(condition: () => boolean) {
      for (let i = 0; i < 6_000; i++) {
        if (condition()) return;
        await time.advance(10);
      }
      throw new Error('it never came to that');
    },
    async writeAll(...args: Parameters<WorldPeer['write']>) {
      for (const peer of peers) await peer.write(...args);
    },
  };
}

export function callContext(more: Partial<CallContext> = {}): CallContext & { abort: (reason: unknown) => void } {
  const controller = new AbortController();
  return {
    principal: 'anonymous',
    namespaces: 'all',
    deadlineMs: undefined,
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    ...more,
  };
}

async function* asAsync<T>(items: AsyncIterable<T> | Iterable<T>): AsyncIterable<T> {
  yield* items;
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}
