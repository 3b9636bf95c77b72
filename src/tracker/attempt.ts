import { type Connector, ConnectorError } from '../ipfs/connector.ts';
import type { ErrorClass } from '../model/status.ts';
import type { Clock, Timers } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import { retryDelayMs } from './backoff.ts';
import { ERROR_LENGTH_MAX } from './constants.ts';
import type { LaneName } from './lanes.ts';
import type { TrackerOptions } from './options.ts';
import type { RowStatus, StatusRow } from './status-row.ts';
import type { Wanted } from './wish.ts';

export type Action = 'pin' | 'unpin';

/** One attempt under way. */
export interface Job {
  readonly action: Action;
  readonly want: Wanted;
  readonly lane: LaneName;
  readonly controller: AbortController;
  readonly startedMs: number;
  readonly startedMonotonicMs: number;
  /** Aborted because the wish changed. */
  isStale: boolean;
  /** Its row says `pinning` or `unpinning`. */
  isShown: boolean;
}

export interface AttemptNeeds {
  connector: Pick<Connector, 'pin' | 'unpin'>;
  sources: (allocations: readonly string[]) => readonly string[];
  timers: Timers;
}

export function newJob(action: Action, { want, lane }: { want: Wanted; lane: LaneName }, clock: Clock): Job {
  const [startedMs, startedMonotonicMs] = [clock.nowMs(), clock.monotonicMs()];
  const controller = new AbortController();
  return { action, want, lane, controller, startedMs, startedMonotonicMs, isStale: false, isShown: false };
}

/** Has the node do it. Rejects with what the connector says, or an abort. */
export async function attempt(cid: Uint8Array, job: Job, needs: AttemptNeeds, options: TrackerOptions): Promise<void> {
  const { connector, sources, timers } = needs;
  const { want, controller } = job;
  const { signal } = controller;
  if (job.action === 'pin') {
    if (want.kind !== 'pin') throw new Error('a pin that nobody wants');
    const { mode, origins, allocations, updates } = want;
    const wish = { cid, mode, sources: [...origins, ...sources(allocations)], ...(updates && { updates }) };
    return connector.pin(wish, { signal, stallTimeoutMs: options.pinTimeoutMs });
  }
  const timer = timers.after(options.unpinTimeoutMs, () =>
    controller.abort(new ConnectorError('PIN_STALLED', 'the node did not answer in time')),
  );
  try {
    await connector.unpin(cid, { signal });
  } finally {
    timer.cancel();
  }
}

/** The row after a failure. A node that does not answer says nothing of this wish: no attempt is counted. */
export function failedRow(
  job: Job,
  init: { want: Wanted; row: StatusRow | undefined; flow: number; failure: unknown; nowMs: number },
  options: TrackerOptions,
  random: Random,
): StatusRow {
  const { want, row, flow, failure, nowMs } = init;
  const errorClass = classOf(failure);
  const message = failure instanceof Error ? failure.message : String(failure);
  const error = message.slice(0, ERROR_LENGTH_MAX).toWellFormed();
  if (errorClass === 'node_unreachable')
    return { ...queuedRow(queuedStatus(want), nowMs, row, flow), errorClass, error };
  const attempts = (row?.attempts ?? 0) + 1;
  const retryAtMs = nowMs + retryDelayMs(attempts, options, random);
  const status = job.action === 'pin' ? 'pin_error' : 'unpin_error';
  return { status, sinceMs: nowMs, attempts, errorClass, error, retryAtMs, held: 'none', flow };
}

export function queuedStatus(want: Wanted): RowStatus {
  return want.kind === 'pin' ? 'pin_queued' : 'unpin_queued';
}

/** A row that is to be worked on at once, or is being worked on; what failed before stays known. */
export function queuedRow(
  status: RowStatus,
  sinceMs: number,
  row: StatusRow | undefined,
  flow = row?.flow ?? 0,
): StatusRow {
  const { attempts = 0, errorClass, error = '', held = 'none' } = row ?? {};
  return { status, sinceMs, attempts, errorClass, error, retryAtMs: 0, held, flow };
}

const classes: Record<ConnectorError['kind'], ErrorClass> = {
  NO_PROVIDER: 'no_provider',
  PIN_STALLED: 'timeout',
  DISK_FULL: 'disk_full',
  INVALID_DAG: 'invalid_dag',
  UNREACHABLE: 'node_unreachable',
  NO_LINK: 'other',
  NO_NAMES: 'other',
  FAILED: 'other',
};

export function classOf(failure: unknown): ErrorClass {
  return failure instanceof ConnectorError ? classes[failure.kind] : 'other';
}
