import { create } from '@bufbuild/protobuf';
import {
  AcknowledgeResponseSchema,
  type ReportUntrustedRequest,
  ReportUntrustedResponseSchema,
} from '../../../gen/pinfold/peer/v1/service_pb.ts';
import { PinfoldError } from '../../model/errors.ts';
import { readClock } from './codec/clock-entries.ts';
import type { Forks } from './forks/forks.ts';
import type { Meeting } from './meeting.ts';
import type { CrdtHandlers, RepairHandlers } from './peer-calls.ts';
import type { RangeServer } from './rebuild/range-server.ts';
import type { SyncServer } from './sync/sync-server.ts';

export interface HandlersNeeds {
  meeting: Meeting;
  syncs: SyncServer;
  ranges: RangeServer;
  repair: RepairHandlers;
  /** T5: another peer turns away what this one writes. */
  onUntrusted(from: string, report: ReportUntrustedRequest): void;
  forks: Pick<Forks, 'handlers' | 'hidesRows' | 'holdsGivenUp'>;
  /** Throws while this peer cannot answer. */
  checkOpen(): void;
}

/** The methods of the peer RPC: each takes the first request of its stream. */
export function crdtHandlers(needs: HandlersNeeds): CrdtHandlers {
  const { meeting, syncs, ranges, repair, forks, onUntrusted, checkOpen } = needs;
  return {
    ...repair,
    ...forks.handlers(checkOpen),
    async *hello(requests, { peerId }) {
      for await (const { hello } of requests) {
        checkOpen();
        yield meeting.answerHello(hello, peerId);
        return;
      }
    },
    async *getClock(requests, { peerId }) {
      for await (const { clock } of requests) {
        checkOpen();
        yield meeting.answerClock(readClock(clock), peerId);
        return;
      }
    },
    async *acknowledge(requests, { peerId }) {
      for await (const { clock } of requests) {
        checkOpen();
        meeting.heardClock(peerId, readClock(clock));
        yield create(AcknowledgeResponseSchema);
        return;
      }
    },
    async *sync(requests, context) {
      for await (const request of requests) {
        checkOpen();
        yield* syncs.serve(request, context);
        return;
      }
    },
    async *mergeRange(requests, context) {
      for await (const request of requests) {
        checkOpen();
        if (forks.hidesRows) throw new PinfoldError('PEER_UNREACHABLE', 'this peer is healing a fork');
        if (forks.holdsGivenUp)
          throw new PinfoldError('PEER_UNREACHABLE', 'this peer has taken in what its author gave up');
        yield* ranges.serve(request, context);
        return;
      }
    },
    async *reportUntrusted(requests, { peerId }) {
      for await (const request of requests) {
        checkOpen();
        onUntrusted(peerId, request);
        yield create(ReportUntrustedResponseSchema);
        return;
      }
    },
  };
}
