import { create } from '@bufbuild/protobuf';
import type { ClockEntry } from '../../../../gen/pinfold/peer/v1/batch_pb.ts';
import { SyncRequestSchema } from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { openBatch, verifyBatch } from '../codec/signed-batch.ts';
import { judge, type TakenClock } from '../core/judge.ts';
import type { Batch } from '../core/types.ts';
import type { PeerCalls } from '../peer-calls.ts';

export type SyncEnd = 'caught-up' | 'full-needed' | 'ended';

export interface SyncCall {
  peerId: string;
  /** What the caller has: S1. */
  clock: ClockEntry[];
  follow: boolean;
  signal: AbortSignal;
  /** Batches that it covers are dropped before their signature is looked at (R2). */
  known: TakenClock;
  /** Each batch with a valid header and signature, in the order in which it came. */
  take(batch: Batch): Promise<void>;
  onCaughtUp?(): void;
}

/** S1 and S4: asks a peer for what it has and the caller lacks. Throws InvalidBatch for a source that sends such. */
export async function sync(rpc: PeerCalls, call: SyncCall): Promise<SyncEnd> {
  const request = create(SyncRequestSchema, { clock: call.clock, follow: call.follow });
  let end: SyncEnd = 'ended';
  for await (const { message } of rpc.call(call.peerId, 'sync', [request], { signal: call.signal })) {
    if (message.case === 'batch') {
      const { header, signature, ops } = message.value;
      const batch = openBatch({ header, signature, ops });
      if (judge(call.known, batch) === 'duplicate') continue;
      verifyBatch(batch);
      if (ops.length > 0) await call.take(batch);
    } else if (message.case === 'caughtUp') {
      end = 'caught-up';
      call.onCaughtUp?.();
    } else if (message.case === 'fullNeeded') {
      return 'full-needed';
    }
  }
  return end;
}
