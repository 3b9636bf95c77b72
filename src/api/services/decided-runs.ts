import { create } from '@bufbuild/protobuf';
import { type WritePinsResponse, WritePinsResponseSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { type BulkWrite, bulkLevel, type Pins } from '../../cluster/pins.ts';
import type { AckLevel, LevelReached, Outcome } from '../../consensus/consensus.ts';
import type { CallContext } from '../../model/call-context.ts';
import type { PinKey } from '../../model/pin.ts';
import { pinKey } from '../../model/pin-key.ts';
import { ackMessage } from './convert.ts';

/** Operations of one message with consecutive numbers that ask for the same level: they are answered together. */
export interface DecidedRun {
  readonly first: number;
  last: number;
  readonly ack: AckLevel;
  /** Of the last that was done; undefined: none was. */
  done: Extract<Outcome, { ok: true }> | undefined;
  readonly unseenBy: Set<string>;
  /** What was pinned, for PINNED. */
  readonly keys: PinKey[];
  readonly failures: { number: bigint; reason: string; message: string }[];
}

export function decidedRuns(
  first: number,
  writes: readonly BulkWrite[],
  outcomes: readonly Outcome[],
  ack: AckLevel,
): DecidedRun[] {
  const runs: DecidedRun[] = [];
  let run: DecidedRun | undefined;
  for (let i = 0; i < outcomes.length; i++) {
    const outcome = outcomes[i] as Outcome;
    const write = writes[i] as BulkWrite;
    // What failed has no level, and goes with those around it.
    const level = outcome.ok || run === undefined ? bulkLevel(write, ack) : run.ack;
    if (run === undefined || !isSame(level, run.ack)) {
      run = {
        first: first + i,
        last: first + i,
        ack: level,
        done: undefined,
        unseenBy: new Set(),
        keys: [],
        failures: [],
      };
      runs.push(run);
    }
    run.last = first + i;
    if (!outcome.ok) {
      run.failures.push({ number: BigInt(first + i), reason: outcome.error.code, message: outcome.error.message });
      continue;
    }
    // Mostly the very same list as that of the one before.
    if (outcome.unseenBy !== run.done?.unseenBy) for (const peerId of outcome.unseenBy) run.unseenBy.add(peerId);
    run.done = outcome;
    if (level.kind === 'pinned' && write.kind === 'pin') run.keys.push(pinKey(write.cid, write.namespace));
  }
  return runs;
}

/** What a run holds in memory while it waits for its level. */
export function weightOf({ ack, keys, failures }: DecidedRun): number {
  return ack.kind === 'durable' ? 0 : 1 + keys.length + failures.length;
}

/** The answer, when the level is reached or its time is over. */
export async function answerOf(pins: Pick<Pins, 'reach'>, run: DecidedRun, call: CallContext) {
  const { ack, done, keys } = run;
  if (done === undefined) return decidedMessage(run, undefined);
  return decidedMessage(run, await pins.reach({ position: done.position, keys }, ack, call));
}

function decidedMessage(
  { first, last, done, unseenBy, failures }: DecidedRun,
  reached: LevelReached | undefined,
): WritePinsResponse {
  const written =
    done === undefined || reached === undefined
      ? {}
      : {
          level: ackMessage(reached.level ?? done.level),
          position: done.position,
          unseenBy: [...unseenBy],
          acknowledgedBy: [...reached.acknowledgedBy],
        };
  const value = { first: BigInt(first), last: BigInt(last), failures, ...written };
  return create(WritePinsResponseSchema, { message: { case: 'decided', value } });
}

function isSame(a: AckLevel, b: AckLevel): boolean {
  if (a === b) return true;
  if (a.kind === 'durable' || b.kind === 'durable') return a.kind === b.kind;
  return a.kind === b.kind && a.count === b.count;
}
