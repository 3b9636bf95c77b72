import { create } from '@bufbuild/protobuf';
import {
  type RangeClockEntry,
  RangeClockEntrySchema,
  type RangeHead,
  RangeHeadSchema,
} from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { isPeerIdBytes, publicKeyOf } from '../../../model/peer-id.ts';
import { Malformed } from '../../../pinset/codec/reader.ts';
import type { Reader } from '../../../storage/storage.ts';
import { CLOCK_ENTRIES_MAX } from '../constants.ts';
import { decodeReplicaRow } from '../state/replica-row.ts';
import type { ReplicaName } from '../state/replicas.ts';
import { replicasTable } from '../tables.ts';
import { HASH_BYTES, ridOf } from './header.ts';

/** An entry of a clock that a store may be built on: with the whole hash, and who it is. */
export interface FullClockEntry {
  name: ReplicaName;
  sequence: number;
  hash: Uint8Array;
}

/** The clock of the state that `reader` sees: one state with the rows read from it (fault clock-of-start). */
export function clockOf(reader: Reader): FullClockEntry[] {
  const entries: FullClockEntry[] = [];
  for (const { value } of reader.range(replicasTable)) {
    const { rid, peerId: author, incarnation, clock: sequence, hash } = decodeReplicaRow(value);
    if (sequence > 0) entries.push({ name: { rid, author, incarnation }, sequence, hash });
  }
  return entries;
}

export function rangeHead(clock: readonly FullClockEntry[], liveBytes: number, digests: Uint8Array): RangeHead {
  return create(RangeHeadSchema, {
    digests,
    liveBytes: BigInt(liveBytes),
    clock: clock.map(({ name, sequence, hash }) =>
      create(RangeClockEntrySchema, {
        author: name.author,
        incarnation: Buffer.from(name.incarnation).readBigUInt64BE(),
        sequence: BigInt(sequence),
        hash,
      }),
    ),
  });
}

/** Throws Malformed. */
export function readRangeHead({ clock }: RangeHead): FullClockEntry[] {
  if (clock.length > CLOCK_ENTRIES_MAX) throw new Malformed('too many clock entries');
  return clock.map(readEntry);
}

function readEntry({ author, incarnation: number, sequence, hash }: RangeClockEntry): FullClockEntry {
  if (!isPeerIdBytes(author) || hash.length !== HASH_BYTES) throw new Malformed('a clock entry is malformed');
  if (sequence < 1n || sequence > BigInt(Number.MAX_SAFE_INTEGER)) throw new Malformed('a sequence out of bounds');
  const incarnation = Buffer.alloc(8);
  incarnation.writeBigUInt64BE(number);
  const name = { rid: ridOf(publicKeyOf(author), incarnation), author, incarnation };
  return { name, sequence: Number(sequence), hash };
}
