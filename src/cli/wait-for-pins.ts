import { AckLevel_Kind, type PinStatus, TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import type { AddedRoot } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { CliError } from './cli-error.ts';
import type { Clients } from './client.ts';
import type { CliContext } from './context.ts';
import { countOf } from './output.ts';
import { pinStatusLines } from './statuses.ts';

const underWay: ReadonlySet<TrackerStatus> = new Set([TrackerStatus.PIN_QUEUED, TrackerStatus.PINNING]);
const failed: ReadonlySet<TrackerStatus> = new Set([TrackerStatus.PIN_ERROR, TrackerStatus.CLUSTER_ERROR]);

/** Waits until all peers that are to have these pins have them, or failed. Throws NOT_PINNED when some did. */
export async function waitForPins(
  { out }: CliContext,
  pins: Pick<Clients['pins'], 'waitLevel' | 'getPinStatus'>,
  roots: readonly AddedRoot[],
): Promise<void> {
  let failures = 0;
  for (const { pin, position } of roots) {
    if (pin === undefined) continue;
    const { cid, namespace } = pin;
    for (;;) {
      const { status } = await pins.getPinStatus({ cid, namespace });
      const open = status?.peers.filter((peer) => underWay.has(peer.status)).length ?? 0;
      if (status !== undefined && open === 0) {
        if (!out.json) for (const line of pinStatusLines(status)) out.line(line);
        if (status.peers.some((peer) => failed.has(peer.status))) failures++;
        break;
      }
      // Ends after 30 s at most, whatever was reached by then.
      const count = status === undefined ? 1 : pinnedBy(status) + 1;
      await pins.waitLevel({ position, level: { kind: AckLevel_Kind.PINNED, count }, cid, namespace });
    }
  }
  if (failures > 0)
    throw new CliError(
      `${countOf(failures, 'pin')} failed at some peer; it tries again by itself: see "pinfold status"`,
      'NOT_PINNED',
    );
}

function pinnedBy({ peers }: PinStatus): number {
  return peers.filter(({ status }) => status === TrackerStatus.PINNED).length;
}
