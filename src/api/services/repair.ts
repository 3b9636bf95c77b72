import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { PeerService } from '../../../gen/pinfold/v1/peer_service_pb.ts';
import {
  ApplyRepairResponseSchema,
  PlanRepairResponseSchema,
  type RepairEventSchema,
  RepairRemedy,
  ScrubFindingKind,
  ScrubPhase,
  ScrubStoreResponseSchema,
} from '../../../gen/pinfold/v1/repair_pb.ts';
import type { ScrubReport, StoreCare } from '../../cluster/store-care.ts';
import type { RepairBucket, RepairEvent } from '../../consensus/repair.ts';
import type { Finding } from '../../pinset/scrub/scrub.ts';
import type { Handlers } from '../handlers.ts';

type RepairMethods = Pick<Handlers<typeof PeerService>, 'scrubStore' | 'planRepair' | 'applyRepair'>;

/** The methods of the peer service by which damage is found and mended. */
export function repairMethods(storeCare: StoreCare): RepairMethods {
  return {
    async *scrubStore(_request, { signal }) {
      for await (const report of storeCare.scrub({ signal })) yield scrubMessage(report);
    },
    async *planRepair(_request, { signal }) {
      for await (const event of storeCare.repair({ apply: false, signal }))
        yield create(PlanRepairResponseSchema, { event: eventMessage(event) });
    },
    async *applyRepair({ acceptLoss }, { signal }) {
      for await (const event of storeCare.repair({ apply: true, acceptLoss, signal }))
        yield create(ApplyRepairResponseSchema, { event: eventMessage(event) });
    },
  };
}

function scrubMessage({ phase, done, of, rows, damaged, found }: ScrubReport) {
  return create(ScrubStoreResponseSchema, {
    phase: phase === 'rows' ? ScrubPhase.ROWS : ScrubPhase.INDEXES,
    done: BigInt(done),
    of: BigInt(of),
    read: BigInt(rows),
    damagedBuckets: damaged,
    finished: found !== undefined,
    findings: (found?.findings ?? []).map((finding) => ({ ...finding, kind: findingKinds[finding.kind] })),
    more: found?.more ?? 0,
  });
}

const findingKinds: Readonly<Record<Finding['kind'], ScrubFindingKind>> = {
  row: ScrubFindingKind.ROW,
  sum: ScrubFindingKind.SUM,
  index: ScrubFindingKind.INDEX,
  orphan: ScrubFindingKind.ORPHAN,
};

const remedies: Readonly<Record<RepairBucket['remedy'], RepairRemedy>> = {
  none: RepairRemedy.NONE,
  digest: RepairRemedy.DIGEST,
  restore: RepairRemedy.RESTORE,
  keep: RepairRemedy.KEEP,
  unite: RepairRemedy.UNITE,
  rescue: RepairRemedy.RESCUE,
  'left-out': RepairRemedy.LEFT_OUT,
  'give-up': RepairRemedy.GIVE_UP,
};

function eventMessage(event: RepairEvent): MessageInitShape<typeof RepairEventSchema> {
  if (event.kind === 'bucket') {
    const { kind: _, peerId = '', remedy, givenUp, ...counts } = event;
    const value = { ...counts, peerId, remedy: remedies[remedy], givenUp: [...givenUp] };
    return { event: { case: 'bucket', value } };
  }
  if (event.kind === 'peer') {
    const { peerId, buckets, leftOut, error = '' } = event;
    const left = leftOut === 'all' ? { allLeftOut: true } : { leftOut };
    return { event: { case: 'peer', value: { peerId, buckets, error, ...left } } };
  }
  const { buckets, untold, leftOut, damaged } = event;
  const value = {
    ...{ buckets, untold, leftOut, damagedBuckets: damaged },
    writtenHere: BigInt(event.writtenHere),
    writtenThere: BigInt(event.writtenThere),
    givenUp: BigInt(event.givenUp),
    indexEntriesAdded: BigInt(event.indexEntriesAdded),
    indexEntriesRemoved: BigInt(event.indexEntriesRemoved),
  };
  return { event: { case: 'result', value } };
}
