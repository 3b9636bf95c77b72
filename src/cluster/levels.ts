import type { AckLevel, Consensus, LevelReached } from '../consensus/consensus.ts';
import { answerWithinMs, type CallContext } from '../model/call-context.ts';
import { isPinfoldError, PinfoldError } from '../model/errors.ts';
import type { PinKey } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { Clock } from '../runtime/clock.ts';
import type { MetricsRegister } from '../runtime/metrics.ts';
import { LEVEL_WAIT_MS_MAX, LEVEL_WAITS_MAX } from './constants.ts';
import type { PinnedWaits } from './pinned-waits.ts';

/** A write that stands, or several with one position that covers them. */
export interface StandingWrite {
  position: Uint8Array;
  /** What was pinned: for PINNED. */
  keys: readonly PinKey[];
}

/** Acknowledgement levels: DURABLE and REPLICATED are the consensus's, PINNED is learned from the members' statuses. */
export interface Levels {
  /** Throws LEVEL_UNREACHABLE or UNIMPLEMENTED for a level that no write can reach. */
  checkReachable(level: AckLevel): void;
  /** The same, and LIMIT_REACHED when too much waits already. */
  check(level: AckLevel): void;
  /**
   * Resolves when the write is at the level, or with what was reached when the time is over: 30 s, or what the caller's
   * deadline leaves. Rejects with the call's reason alone: the write stands.
   */
  reach(write: StandingWrite, level: AckLevel, call: CallContext): Promise<LevelReached>;
  /**
   * Waits on for a write that may be another peer's. Rejects with INVALID_TOKEN, PEER_UNREACHABLE when this peer has not seen it in
   * time, and what `check` throws.
   */
  waitOn(write: StandingWrite, level: AckLevel, call: CallContext): Promise<LevelReached & { level: AckLevel }>;
  /** Waits under way, a content that is to be pinned being one: at `LEVEL_WAITS_MAX` bulk streams take no more. */
  readonly waiting: number;
}

export interface LevelsNeeds {
  peerId: string;
  consensus: Pick<Consensus, 'waitLevel' | 'levelRefusal'>;
  monitor: Pick<Monitor, 'members'>;
  pinned: Pick<PinnedWaits, 'wait'>;
  clock: Clock;
  metrics: MetricsRegister;
}

export function levels({ peerId, consensus, monitor, pinned, clock, metrics }: LevelsNeeds): Levels {
  let waiting = 0;
  metrics.gauge({ name: 'pinfold_level_waits', help: 'Writes that wait for an acknowledgement level' }, (gauge) => {
    gauge.set(waiting);
  });
  const here: LevelReached = { level: { kind: 'durable' }, acknowledgedBy: [peerId] };

  function refusal(level: AckLevel): PinfoldError | undefined {
    if (level.kind !== 'pinned') return consensus.levelRefusal(level);
    const peers = monitor.members().length;
    return level.count <= peers ? undefined : tooMany(level, peers);
  }

  const timeoutMs = (call: CallContext) => Math.min(LEVEL_WAIT_MS_MAX, answerWithinMs(call, clock.nowMs()));

  async function waited({ position, keys }: StandingWrite, level: AckLevel, call: CallContext): Promise<LevelReached> {
    const options = { signal: call.signal, timeoutMs: timeoutMs(call) };
    if (level.kind !== 'pinned') {
      const reached = await consensus.waitLevel(position, level, options);
      return { ...reached, level: reached.level ?? here.level };
    }
    if (keys.length === 0) return here;
    const cids = keys.map((key) => pinKeyParts(key).cid);
    const { count, acknowledgedBy } = await pinned.wait(cids, level.count, options);
    return count === 0 ? here : { level: { kind: 'pinned', count }, acknowledgedBy };
  }

  function checkReachable(level: AckLevel): void {
    const refused = refusal(level);
    if (refused !== undefined) throw refused;
  }

  return {
    checkReachable,

    check(level) {
      checkReachable(level);
      if (level.kind === 'durable' || waiting < LEVEL_WAITS_MAX) return;
      throw new PinfoldError('LIMIT_REACHED', `${LEVEL_WAITS_MAX} writes wait for their level already`, {
        retryAfterMs: 1_000,
      });
    },

    async reach(write, level, call) {
      if (level.kind === 'durable') return here;
      const weight = Math.max(1, level.kind === 'pinned' ? write.keys.length : 1);
      waiting += weight;
      try {
        return await waited(write, level, call);
      } catch (error) {
        // The write stands: there was no room for waiting, that is all.
        if (isPinfoldError(error, 'LIMIT_REACHED')) return here;
        throw error;
      } finally {
        waiting -= weight;
      }
    },

    async waitOn(write, level, call) {
      this.check(level);
      const durable = { kind: 'durable' } as const;
      const options = { signal: call.signal, timeoutMs: timeoutMs(call) };
      waiting++;
      try {
        const asked = level.kind === 'replicated' ? level : durable;
        const reached = await consensus.waitLevel(write.position, asked, options);
        if (reached.level === undefined) throw unseen();
        if (level.kind !== 'pinned') return { ...reached, level: reached.level };
      } finally {
        waiting--;
      }
      const reached = await this.reach(write, level, call);
      return { ...reached, level: reached.level ?? durable };
    },

    get waiting() {
      return waiting;
    },
  };
}

/** For PINNED n where fewer than n nodes are to hold it. */
export function tooMany({ count }: { count: number }, peers: number): PinfoldError {
  const message = `PINNED ${count} asks for more nodes than are to hold it: ${peers}`;
  return new PinfoldError('LEVEL_UNREACHABLE', message, { facts: { peers: String(peers) } });
}

const unseen = () =>
  new PinfoldError(
    'PEER_UNREACHABLE',
    'this peer has not yet seen the write that the position names; try again, or another peer',
  );
