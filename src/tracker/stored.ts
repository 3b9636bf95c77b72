import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import {
  IntakeRowSchema,
  StatusFeedRowSchema,
  StatusStateSchema,
  TrackerPositionSchema,
} from '../../gen/pinfold/store/v1/store_pb.ts';
import { checkCid } from '../model/cid.ts';

// What the tracker has on the disk beside the status rows. Undefined: it is damaged. All of it can be found out anew.

export const storedState = (bytes: Uint8Array) => decoded(StatusStateSchema, bytes);

export const storedPosition = (bytes: Uint8Array) => decoded(TrackerPositionSchema, bytes);

export const storedIntake = (bytes: Uint8Array) => ofCids(decoded(IntakeRowSchema, bytes));

export const storedFeedRow = (bytes: Uint8Array) => ofCids(decoded(StatusFeedRowSchema, bytes));

function decoded<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> | undefined {
  try {
    return fromBinary(schema, bytes);
  } catch {
    return undefined;
  }
}

function ofCids<T extends { cids: Uint8Array[] }>(row: T | undefined): T | undefined {
  try {
    for (const cid of row?.cids ?? []) checkCid(cid);
    return row;
  } catch {
    return undefined;
  }
}
