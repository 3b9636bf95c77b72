import { fromBinary } from '@bufbuild/protobuf';
import { SignedForgottenSchema, SignedPeerRecordSchema } from '../../../gen/pinfold/peer/v1/record_pb.ts';
import { parsePeerId } from '../../../src/model/peer-id.ts';
import { openForgotten } from '../../../src/monitor/forgotten-record.ts';
import { memberRows } from '../../../src/monitor/member-table.ts';
import { openRecord } from '../../../src/monitor/records.ts';
import type { Reader } from '../../../src/storage/storage.ts';
import type { Machine } from '../world/machine.ts';
import type { SimProcess } from '../world/sim-process.ts';

interface Removal {
  readonly at: Machine;
  readonly peerId: string;
  /** Of the record that was removed: only a later one makes it a member again. */
  readonly version: number;
}

/** Who is a member, by the records on the disks: what was removed stays so, and the peers agree. */
export class Members {
  readonly #removals: Removal[] = [];

  /** An operator was told that the member is removed. */
  removed(process: SimProcess, peerId: string): void {
    const row = process.disk.read.get('members_forgotten', parsePeerId(peerId));
    // Its next record may have come before the answer.
    if (row === undefined) return;
    const opened = openForgotten(fromBinary(SignedForgottenSchema, row));
    if (opened !== undefined) this.#removals.push({ at: process.machine, peerId, version: opened.version });
  }

  /** What of it is not so (yet). */
  lacking(up: readonly SimProcess[]): string | undefined {
    const lists = up.map((process) => ({ process, versions: versionsOf(process.disk.flushedReader()) }));
    for (const { process, versions } of lists) {
      const lacking = up.find(({ machine }) => !versions.has(machine.peerId));
      if (lacking !== undefined) return `${process.name} does not list ${lacking.name}`;
      const zombie = this.#removals.find(
        ({ at, peerId, version }) => !at.isGone && (versions.get(peerId) ?? Number.POSITIVE_INFINITY) <= version,
      );
      if (zombie !== undefined) return `${process.name} lists ${zombie.peerId}, which ${zombie.at.name} has removed`;
      const { holders } = process.core.consensus.status().log;
      const holder = holders.find(({ peerId }) => !versions.has(peerId));
      if (holder !== undefined) return `${process.name} keeps its log for ${holder.peerId}, which is no member`;
    }
    const texts = new Set(lists.map(({ versions }) => JSON.stringify([...versions].sort())));
    return texts.size > 1 ? `there are ${texts.size} lists of members` : undefined;
  }
}

function versionsOf(reader: Reader): Map<string, number> {
  const versions = new Map<string, number>();
  for (const { value } of reader.range(memberRows)) {
    const record = openRecord(fromBinary(SignedPeerRecordSchema, value.subarray(8)));
    if (record !== undefined) versions.set(record.peerId, record.version);
  }
  return versions;
}
