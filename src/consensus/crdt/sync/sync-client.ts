import { create } from '@bufbuild/protobuf';
import type { ClockEntry } from '../../../../gen/pinfold/peer/v1/batch_pb.ts';
import { SyncRequestSchema } from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { byteString } from '../../../model/bytes.ts';
import { parsePeerId } from '../../../model/peer-id.ts';
import { openRun } from '../codec/batch-run.ts';
import { readClock } from '../codec/clock-entries.ts';
import { verifyBatch } from '../codec/signed-batch.ts';
import type { Clock } from '../core/clocks.ts';
import { judge, type TakenClock } from '../core/judge.ts';
import type { SyncNews } from '../core/rebuild-need.ts';
import type { Batch } from '../core/types.ts';
import type { PeerCalls } from '../peer-calls.ts';

export type SyncEnd = 'caught-up' | 'full-needed' | 'ended';

export interface SyncCall {
  peerId: string;
  /** What the caller has: S1. */
  clock: ClockEntry[];
  follow: boolean;
  /** With `follow`: peers whose further batches come directly. */
  except?: readonly string[];
  /** The clock is that of a shadow. */
  shadow?: boolean;
  signal: AbortSignal;
  /** Batches that it covers are dropped before their signature is looked at (R2). */
  known: TakenClock;
  /** Throws InvalidBatch. Default: `verifyBatch`. */
  verify?(batch: Batch): void;
  /** Each batch with a valid header and signature, in the order in which it came. */
  take(batch: Batch): Promise<void>;
  /** The author of that batch wants to know when it is here (R7). */
  onWanted?(batch: Batch): void;
  /** What the call says of the peer; 'full-needed' with its floors. */
  heard?(news: SyncNews, floors?: Clock): void;
}

/** S1 and S4: asks a peer for what it has and the caller lacks. Throws InvalidBatch for a source that sends such. */
export async function sync(rpc: PeerCalls, call: SyncCall): Promise<SyncEnd> {
  const { clock, follow, shadow = false, except = [], verify = verifyBatch } = call;
  const exceptAuthors = except.map((peerId) => parsePeerId(peerId));
  const request = create(SyncRequestSchema, { clock, follow, shadow, exceptAuthors });
  let end: SyncEnd = 'ended';
  let isServing = false;
  for await (const { message } of rpc.call(call.peerId, 'sync', [request], { signal: call.signal })) {
    if (message.case === 'batches') {
      for (const batch of openRun(message.value)) {
        const isKnown = judge(call.known, batch) === 'duplicate';
        if (!isKnown) verify(batch);
        if (batch.wantAck) call.onWanted?.(batch);
        if (isKnown) continue;
        if (!isServing && end === 'ended') call.heard?.('serving');
        isServing = true;
        if (batch.ops.length > 0) await call.take(batch);
      }
    } else if (message.case === 'caughtUp') {
      end = 'caught-up';
      call.heard?.('nothing-new');
    } else if (message.case === 'fullNeeded') {
      const floors = readClock(message.value.floor).map(({ rid, sequence }) => [byteString(rid), sequence] as const);
      call.heard?.('full-needed', new Map(floors));
      return 'full-needed';
    }
  }
  return end;
}
