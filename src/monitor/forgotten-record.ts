import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type Forgotten,
  ForgottenSchema,
  type SignedForgotten,
  SignedForgottenSchema,
  type SignedPeerRecord,
} from '../../gen/pinfold/peer/v1/record_pb.ts';
import { equalBytes } from '../model/bytes.ts';
import { formatPeerId, isPeerIdBytes, parsePeerId, publicKeyOf } from '../model/peer-id.ts';
import { type Signer, signed, verifyEd25519 } from '../runtime/ed25519.ts';
import { FORGOTTEN_BYTES_MAX, FORGOTTEN_DOMAIN } from './constants.ts';
import { isRecordSigned, type OpenedRecord, openRecord } from './records.ts';

/** The word of a member that another one is none any more; well formed, its signatures are verified apart. */
export interface OpenedForgotten {
  /** Whose record it was, and up to which version nothing of it counts. */
  peerId: string;
  version: number;
  last: OpenedRecord;
  by: string;
  forgottenMs: number;
  signed: SignedForgotten;
}

export function signForgotten(signer: Signer, last: SignedPeerRecord, nowMs: number): SignedForgotten {
  const forgotten = create(ForgottenSchema, {
    last,
    by: parsePeerId(signer.peerId),
    forgottenMs: BigInt(Math.max(0, Math.trunc(nowMs))),
  });
  const bytes = toBinary(ForgottenSchema, forgotten);
  return create(SignedForgottenSchema, { forgotten: bytes, signature: signer.sign(signed(FORGOTTEN_DOMAIN, bytes)) });
}

/** Undefined for what is malformed or over a limit. */
export function openForgotten(from: SignedForgotten): OpenedForgotten | undefined {
  const forgotten = decode(from.forgotten);
  if (forgotten?.last === undefined || !isPeerIdBytes(forgotten.by)) return undefined;
  const last = openRecord(forgotten.last);
  if (last === undefined || forgotten.forgottenMs > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  const { peerId, version } = last;
  return {
    peerId,
    version,
    last,
    by: formatPeerId(forgotten.by),
    forgottenMs: Number(forgotten.forgottenMs),
    signed: from,
  };
}

/** `known`: the record of that peer that is held here, verified already. */
export function isForgottenSigned(
  { by, last, signed: from }: OpenedForgotten,
  known: OpenedRecord | undefined,
): boolean {
  if (!verifyEd25519(publicKeyOf(by), signed(FORGOTTEN_DOMAIN, from.forgotten), from.signature)) return false;
  const isKnown =
    known !== undefined &&
    equalBytes(known.signed.record, last.signed.record) &&
    equalBytes(known.signed.signature, last.signed.signature);
  return isKnown || isRecordSigned(last);
}

function decode(bytes: Uint8Array): Forgotten | undefined {
  if (bytes.length > FORGOTTEN_BYTES_MAX) return undefined;
  try {
    return fromBinary(ForgottenSchema, bytes);
  } catch {
    return undefined;
  }
}
