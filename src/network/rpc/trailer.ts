import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack, anyUnpack, durationFromMs, durationMs } from '@bufbuild/protobuf/wkt';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import type { Status } from '../../../gen/google/rpc/status_pb.ts';
import { StatusSchema } from '../../../gen/google/rpc/status_pb.ts';
import type { ErrorCode, ErrorDetails, StatusName } from '../../model/errors.ts';
import { errorRegistry, PinfoldError } from '../../model/errors.ts';
import { RPC_ERROR_MESSAGE_LENGTH_MAX, RPC_TRAILER_BYTES_MAX } from '../constants.ts';
import { FrameError, NO_PAYLOAD } from './frame.ts';

const ERROR_DOMAIN = 'pinfold';

/** https://grpc.io/docs/guides/status-codes/ */
const grpcCodes: Readonly<Record<StatusName, number>> = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
};

/** The end of a call: nothing when it went well, else a `google.rpc.Status` whose ErrorInfo has the code. */
export function encodeTrailer(error: PinfoldError | undefined): Uint8Array {
  if (error === undefined) return NO_PAYLOAD;
  const bytes = toBinary(StatusSchema, statusOf(error, error.details));
  if (bytes.length <= RPC_TRAILER_BYTES_MAX) return bytes;
  return toBinary(StatusSchema, statusOf(error, {}));
}

function statusOf(error: PinfoldError, { facts, fields, retryAfterMs }: ErrorDetails): Status {
  const info = create(ErrorInfoSchema, { reason: error.code, domain: ERROR_DOMAIN, metadata: { ...facts } });
  const details = [anyPack(ErrorInfoSchema, info)];
  if (retryAfterMs !== undefined) {
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) })));
  }
  if (fields !== undefined) {
    const fieldViolations = fields.map(({ field, problem }) => ({ field, description: problem }));
    details.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations })));
  }
  return create(StatusSchema, {
    code: grpcCodes[errorRegistry[error.code].status],
    message: error.message.slice(0, RPC_ERROR_MESSAGE_LENGTH_MAX),
    details,
  });
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
