import type { AckLevel, Condition, Consensus, LevelReached, Op, Outcome, Request } from '../consensus/consensus.ts';
import { equalBytes } from '../model/bytes.ts';
import type { CallContext } from '../model/call-context.ts';
import { formatCid } from '../model/cid.ts';
import { type ErrorCode, invalidField, isPinfoldError, PinfoldError } from '../model/errors.ts';
import { everywhere, type PinFields, type PinKey } from '../model/pin.ts';
import { pinKey } from '../model/pin-key.ts';
import { checkNamespace, checkPinFields } from '../model/validate-pin.ts';
import type { Pinset, StoredPin } from '../pinset/pinset.ts';
import type { Clock } from '../runtime/clock.ts';
import { LEVEL_WAITS_MAX } from './constants.ts';
import { type Levels, type StandingWrite, tooMany } from './levels.ts';
import type { Placing } from './placing.ts';

/** The pinset's use cases: pin, unpin, replace, in ones and in bulk. */
export interface Pins {
  pin(write: PinWrite, options: WriteOptions, call: CallContext): Promise<Written>;
  /** Rejects with PIN_NOT_FOUND when there is no such pin. */
  unpin(write: UnpinWrite, options: WriteOptions, call: CallContext): Promise<Written>;
  /** Pins `to` with the options of `from` and unpins `from`, in one transaction. */
  replace(write: ReplaceWrite, options: WriteOptions, call: CallContext): Promise<Written>;
  /** Operations of a bulk stream, numbered from `first`. One outcome each at DURABLE, in order; never rejects for one of them. */
  bulk(
    writes: readonly BulkWrite[],
    stream: BulkPosition | undefined,
    ack: AckLevel,
    call: CallContext,
  ): Promise<Outcome[]>;
  /** Waits on for a write of whoever: see `Levels.waitOn`. For PINNED, `pin` names what. */
  waitLevel(
    position: Uint8Array,
    level: AckLevel,
    pin: { cid: Uint8Array; namespace: string } | undefined,
    call: CallContext,
  ): Promise<{ level: AckLevel; acknowledgedBy: readonly string[] }>;
  /** Throws for a level that no write can reach. */
  checkReachable(level: AckLevel): void;
  /** Waits on for the level of writes of a bulk stream; see `Levels`. */
  reach(write: StandingWrite, level: AckLevel, call: CallContext): Promise<LevelReached>;
  /** So many writes wait for their levels that bulk streams are to be held back. */
  readonly isWaitingMuch: boolean;
  /** Up to which number the operations of that stream are decided. */
  bulkDecided(stream: Uint8Array): Promise<number>;
  /** Throws PIN_NOT_FOUND. */
  get(cid: Uint8Array, namespace: string, call: CallContext): StoredPin;
  /** Throws what `pin` would refuse whatever the CID is: for content that would be taken in for nothing. */
  check(write: Pick<PinWrite, 'namespace' | 'options'>, ack: AckLevel, call: CallContext): void;
  /**
   * For content that is yet to come: the peers that a pin of this CID would lie on, were it new (none: everywhere), and how many of them it
   * needs (-1: everywhere). Throws what `pin` would refuse.
   */
  plan(write: Pick<PinWrite, 'cid' | 'namespace' | 'options'>, ack: AckLevel, call: CallContext): PinPlan;
}

export interface PinWrite {
  kind: 'pin';
  cid: Uint8Array;
  namespace: string;
  /** Factors 0: the cluster's. `createdMs` is set here. */
  options: Omit<PinFields, 'createdMs' | 'type' | 'updatedFrom'>;
  condition: Condition | undefined;
  /** Peers that must be among the allocations, as they have the blocks. */
  must?: readonly string[];
  /** In bulk: instead of the stream's. */
  ack?: AckLevel;
}

export interface PinPlan {
  peerIds: string[];
  replicationMin: number;
}

export interface UnpinWrite {
  kind: 'unpin';
  cid: Uint8Array;
  namespace: string;
  condition: Condition | undefined;
  /** In bulk: instead of the stream's. */
  ack?: AckLevel;
}

export interface ReplaceWrite {
  from: Uint8Array;
  to: Uint8Array;
  namespace: string;
  name: string | undefined;
  expiresMs: number | undefined;
  condition: Condition | undefined;
}

/** `invalid`: it could not even be read; it still has its number. */
export type BulkWrite = PinWrite | UnpinWrite | { kind: 'invalid'; error: PinfoldError };

export interface BulkPosition {
  /** 16 bytes. */
  key: Uint8Array;
  first: number;
}

export interface WriteOptions {
  ack: AckLevel;
  idempotency: { key: Uint8Array; request: Uint8Array } | undefined;
}

export interface Written {
  /** Undefined for a retry (idempotency key) of what was done, when the pin is not there any more. */
  pin: StoredPin | undefined;
  position: Uint8Array;
  /** What was reached: at most what was asked. */
  level: AckLevel;
  /** Peer IDs of those that had it then. */
  acknowledgedBy: readonly string[];
  unseenBy: readonly string[];
}

export interface PinsInit {
  replicationMin: number;
  replicationMax: number;
  follower: boolean;
}

export interface PinsNeeds {
  consensus: Pick<Consensus, 'commit' | 'streamDecided'>;
  pinset: Pick<Pinset, 'get'>;
  levels: Levels;
  /** On the members as they are now. */
  placing: Pick<Placing, 'place' | 'isLeaving'>;
  clock: Clock;
}

export function pins(init: PinsInit, needs: PinsNeeds): Pins {
  const { consensus, pinset, levels, placing, clock } = needs;

  /** With the cluster's factors, checked. */
  function fieldsOf(options: PinWrite['options'], updatedFrom?: Uint8Array): PinFields {
    const nowMs = clock.nowMs();
    const fields: PinFields = { ...options, createdMs: nowMs, updatedFrom, type: 'data' };
    if (fields.replicationMin === 0) fields.replicationMin = init.replicationMin;
    if (fields.replicationMax === 0) fields.replicationMax = init.replicationMax;
    checkPinFields(fields);
    if (fields.expiresMs !== 0 && fields.expiresMs <= nowMs) {
      throw invalidField('options.expires', 'lies in the past');
    }
    return fields;
  }

  /** `replaced`: the pin that this one follows; it goes where that one lies, for they tend to have blocks in common. */
  function pinOp(write: PinWrite, replaced?: StoredPin): Op {
    checkNamespace(write.namespace);
    const key = pinKey(write.cid, write.namespace);
    const fields = fieldsOf(write.options, replaced?.pin.cid);
    const current = () => pinset.get(key) ?? replaced;
    return { kind: 'pin', key, fields, allocations: allocationsOf(key, fields, current, write.must) };
  }

  function allocationsOf(
    key: PinKey,
    fields: PinFields,
    current: () => StoredPin | undefined,
    must: readonly string[] | undefined,
  ): string[] {
    if (fields.replicationMin === everywhere) return [];
    const pin = current();
    const lying = pin?.pin.allocations ?? [];
    const placed = placing.place({
      key,
      replicationMin: fields.replicationMin,
      replicationMax: fields.replicationMax,
      current: lying,
      userAllocations: fields.userAllocations,
      ...(must === undefined ? {} : { must }),
    });
    if (pin === undefined || !equalBytes(pin.key, key)) return placed;
    // Whoever is lost or drained may have the only copies: re-allocation takes it off when there are others.
    const leaving = lying.filter((peerId) => !placed.includes(peerId) && placing.isLeaving(peerId));
    return [...placed, ...leaving];
  }

  function unpinOp(write: UnpinWrite): Op {
    checkNamespace(write.namespace);
    return { kind: 'unpin', key: pinKey(write.cid, write.namespace) };
  }

  function requestOf(ops: readonly Op[], condition: Condition | undefined, rest: Partial<Request>): Request {
    return { ops, ...(condition === undefined ? {} : { condition }), ...rest };
  }

  async function one(ops: readonly Op[], condition: Condition | undefined, options: WriteOptions, call: CallContext) {
    const { ack, idempotency } = options;
    levels.check(ack);
    checkPinnable(ops, ack);
    const request = requestOf(ops, condition, { ack, ...(idempotency === undefined ? {} : { idempotency }) });
    const [outcome] = await consensus.commit([request], { signal: call.signal });
    if (outcome === undefined) throw new Error('commit answered no outcome for a request');
    if (!outcome.ok) throw outcome.error;
    const { pin, position, unseenBy } = outcome;
    if (pin === undefined && idempotency === undefined) {
      throw new Error('a write of a user was answered without its pin');
    }
    const { level = outcome.level, acknowledgedBy } = await levels.reach({ position, keys: pinned(ops) }, ack, call);
    return { pin, position, level, acknowledgedBy, unseenBy };
  }

  function checkMayWrite(namespace: string, call: CallContext): void {
    if (init.follower) throw followers();
    checkNamespaceAllowed(namespace, call);
  }

  function checked(write: Pick<PinWrite, 'namespace' | 'options'>, ack: AckLevel, call: CallContext): PinFields {
    checkNamespace(write.namespace);
    checkMayWrite(write.namespace, call);
    levels.check(ack);
    return fieldsOf(write.options);
  }

  function bulkRequest(write: BulkWrite, ack: AckLevel, call: CallContext, stream: Request['stream']): Request {
    if (write.kind === 'invalid') throw write.error;
    checkMayWrite(write.namespace, call);
    const op = write.kind === 'pin' ? pinOp(write) : unpinOp(write);
    if (write.ack !== undefined) levels.check(write.ack);
    const level = bulkLevel(write, ack);
    if (level.kind === 'pinned') checkPinnable([op], level);
    const request: Request = { ops: [op] };
    if (level.kind === 'replicated') request.ack = level;
    if (stream !== undefined) request.stream = stream;
    if (write.condition !== undefined) request.condition = write.condition;
    return request;
  }

  function get(cid: Uint8Array, namespace: string, call: CallContext): StoredPin {
    checkNamespace(namespace);
    checkNamespaceAllowed(namespace, call);
    const pin = pinset.get(pinKey(cid, namespace));
    if (pin !== undefined) return pin;
    throw new PinfoldError('PIN_NOT_FOUND', `${formatCid(cid)} is not pinned in the namespace "${namespace}"`);
  }

  return {
    async pin(write, options, call) {
      checkMayWrite(write.namespace, call);
      return one([pinOp(write)], write.condition, options, call);
    },

    async unpin(write, options, call) {
      checkMayWrite(write.namespace, call);
      return one([unpinOp(write)], write.condition, options, call);
    },

    async replace(write, options, call) {
      checkMayWrite(write.namespace, call);
      if (Buffer.compare(write.from, write.to) === 0) {
        throw invalidField('to_cid', 'is the CID to be replaced; to change its options, pin it again');
      }
      const unpin = unpinOp({ kind: 'unpin', cid: write.from, namespace: write.namespace, condition: undefined });
      const old = pinset.get(unpin.key);
      // Not there: not found, unless this is a retry of a call that was done.
      if (old === undefined) {
        levels.check(options.ack);
        const written = await one([unpin], write.condition, { ...options, ack: durable }, call);
        const key = pinKey(write.to, write.namespace);
        const standing = { position: written.position, keys: [key] };
        const { level = durable, acknowledgedBy } = await levels.reach(standing, options.ack, call);
        return { ...written, level, acknowledgedBy, pin: pinset.get(key) };
      }
      const {
        cid: _cid,
        namespace,
        allocations: _allocations,
        createdMs: _created,
        type: _type,
        ...options_
      } = old.pin;
      const pin: PinWrite = {
        kind: 'pin',
        cid: write.to,
        namespace,
        options: { ...options_, name: write.name ?? options_.name, expiresMs: write.expiresMs ?? options_.expiresMs },
        condition: undefined,
      };
      // The pin that goes must be as it was read; a condition of the caller is one on it, too.
      const condition = write.condition ?? { kind: 'if-match' as const, etag: old.etag };
      const written = await one([unpin, pinOp(pin, old)], condition, options, call);
      return { ...written, pin: pinset.get(pinKey(write.to, namespace)) };
    },

    async bulk(writes, stream, ack, call) {
      levels.checkReachable(ack);
      if (init.follower) throw followers();
      const refused = new Map<number, PinfoldError>();
      const requests = writes.map((write, i): Request => {
        const position = stream === undefined ? undefined : { key: stream.key, number: stream.first + i };
        try {
          return bulkRequest(write, ack, call, position);
        } catch (error) {
          if (!isPinfoldError(error)) throw error;
          refused.set(i, error);
          // Without operations it only takes its number.
          return requestOf([], undefined, position === undefined ? {} : { stream: position });
        }
      });
      const outcomes = await consensus.commit(requests, { signal: call.signal });
      if (stream !== undefined) checkDecided(outcomes);
      for (const [i, error] of refused) outcomes[i] = { ok: false, error };
      return outcomes;
    },

    async waitLevel(position, level, pin, call) {
      if (pin !== undefined) {
        checkNamespace(pin.namespace);
        checkNamespaceAllowed(pin.namespace, call);
      }
      if (level.kind === 'pinned' && pin === undefined) throw invalidField('cid', 'must be named for PINNED');
      const keys = pin === undefined ? [] : [pinKey(pin.cid, pin.namespace)];
      return await levels.waitOn({ position, keys }, level, call);
    },

    checkReachable: (level) => levels.checkReachable(level),

    reach: (write, level, call) => levels.reach(write, level, call),

    get isWaitingMuch() {
      return levels.waiting >= LEVEL_WAITS_MAX;
    },

    bulkDecided: (stream) => consensus.streamDecided(stream),

    get,

    check(write, ack, call) {
      checked(write, ack, call);
    },

    plan(write, ack, call) {
      const fields = checked(write, ack, call);
      const key = pinKey(write.cid, write.namespace);
      const peerIds = allocationsOf(key, fields, () => undefined, undefined);
      return { peerIds, replicationMin: fields.replicationMin };
    },
  };
}

/** The level of an operation of a bulk stream; there is nothing to be pinned of what is unpinned. */
export function bulkLevel(write: BulkWrite, ack: AckLevel): AckLevel {
  if (write.kind === 'invalid') return ack;
  if (write.ack !== undefined) return write.ack;
  return write.kind === 'unpin' && ack.kind === 'pinned' ? durable : ack;
}

const durable: AckLevel = { kind: 'durable' };

/** Keys of what operations pin. */
function pinned(ops: readonly Op[]): PinKey[] {
  return ops.flatMap((op) => (op.kind === 'pin' ? [op.key] : []));
}

/** PINNED n of something that is to be pinned, at n nodes at least. */
function checkPinnable(ops: readonly Op[], ack: AckLevel): void {
  if (ack.kind !== 'pinned') return;
  const pins = ops.filter((op) => op.kind === 'pin');
  if (pins.length === 0) throw invalidField('ack.kind', 'PINNED is for what is pinned, not for what is unpinned');
  for (const { allocations, fields } of pins) {
    if (fields.replicationMin !== everywhere && allocations.length < ack.count) throw tooMany(ack, allocations.length);
  }
}

const followers = () => new PinfoldError('FOLLOWER', 'this peer is a follower and takes no writes; ask another one');

/** What a peer says of all that comes, not of one operation. */
const refusals: readonly ErrorCode[] = [
  'JOINING',
  'FOLLOWER',
  'NOT_TRUSTED',
  'CLOCK_SKEW',
  'DISK_FULL',
  'SHUTTING_DOWN',
  'LIMIT_REACHED',
];

/**
 * Operations of a stream that the peer as a whole refused, or that came behind such, have not taken their numbers. Told as decided they would
 * be lost for the client, and its stream with them: so its call fails, and it can be taken up again where it was.
 */
function checkDecided(outcomes: readonly Outcome[]): void {
  const [first] = outcomes;
  const isWhole = first?.ok === false && outcomes.every((other) => !other.ok && other.error === first.error);
  if (isWhole && refusals.includes(first.error.code)) throw first.error;
  for (const outcome of outcomes) if (!outcome.ok && outcome.error.code === 'STREAM_GAP') throw outcome.error;
}

export function checkNamespaceAllowed(namespace: string, call: CallContext): void {
  if (call.namespaces === 'all' || call.namespaces.includes(namespace)) return;
  throw new PinfoldError('PERMISSION_DENIED', `the namespace "${namespace}" is not yours`);
}
