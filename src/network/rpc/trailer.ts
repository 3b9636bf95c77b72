import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack, durationMs } from '@bufbuild/protobuf/wkt';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import type { Status } from '../../../gen/google/rpc/status_pb.ts';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import type { ErrorCode, ErrorDetails } from '../../model/errors.ts';
import { errorRegistry, PinfoldError } from '../../model/errors.ts';
import { encodeStatus } from '../../model/google-status.ts';
import { RPC_ERROR_MESSAGE_LENGTH_MAX, RPC_TRAILER_BYTES_MAX } from '../constants.ts';
import { FrameError, NO_PAYLOAD } from './frame.ts';

/** The end of a call: nothing when it went well, else a `google.rpc.Status` whose ErrorInfo has the code. */
export function encodeTrailer(error: PinfoldError | undefined): Uint8Array {
  if (error === undefined) return NO_PAYLOAD;
  return encodeStatus(error, error.message.slice(0, RPC_ERROR_MESSAGE_LENGTH_MAX), RPC_TRAILER_BYTES_MAX);
}

/** Undefined when the call went well. A code that this version does not know becomes INTERNAL. Throws a FrameError. */
export function decodeTrailer(bytes: Uint8Array): PinfoldError | undefined {
  if (bytes.length === 0) return undefined;
  try {
    return errorOf(fromBinary(StatusSchema, bytes));
  } catch (cause) {
    throw new FrameError('malformed', 'the trailer of a call cannot be read', cause);
  }
}

function errorOf(status: Status): PinfoldError {
  let code: ErrorCode = 'INTERNAL';
  const details: ErrorDetails = {};
  for (const detail of status.details) {
    const info = anyUnpack(detail, ErrorInfoSchema);
    if (info !== undefined) {
      if (Object.hasOwn(errorRegistry, info.reason)) code = info.reason as ErrorCode;
      if (Object.keys(info.metadata).length > 0) details.facts = info.metadata;
    }
    const retry = anyUnpack(detail, RetryInfoSchema);
    if (retry?.retryDelay !== undefined) details.retryAfterMs = durationMs(retry.retryDelay);
    const bad = anyUnpack(detail, BadRequestSchema);
    if (bad !== undefined) {
      details.fields = bad.fieldViolations.map(({ field, description }) => ({ field, problem: description }));
    }
  }
  return new PinfoldError(code, status.message, details);
}
