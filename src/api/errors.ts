import { create, toBinary } from '@bufbuild/protobuf';
import { type Any, anyPack, durationFromMs } from '@bufbuild/protobuf/wkt';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { errorRegistry, isPinfoldError, PinfoldError, type StatusName } from '../model/errors.ts';

export const errorDomain = 'pinfold';

/** https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
export const statusCodes: Record<StatusName, number> = {
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

/** What a client gets to see: expected failures as they are, defects without their inside. */
export function publicError(error: unknown): PinfoldError {
  if (isPinfoldError(error)) return error;
  return new PinfoldError('INTERNAL', 'an unexpected error; the log of the peer has more', { cause: error });
}

export function statusCode(error: PinfoldError): number {
  return statusCodes[errorRegistry[error.code].status];
}

/** google.rpc details: always ErrorInfo, and BadRequest and RetryInfo where they apply. */
export function errorDetails(error: PinfoldError): Any[] {
  const { fields, retryAfterMs, facts } = error.details;
  const details = [
    anyPack(
      ErrorInfoSchema,
      create(ErrorInfoSchema, { reason: error.code, domain: errorDomain, metadata: { ...facts } }),
    ),
  ];
  if (fields !== undefined) {
    const fieldViolations = fields.map(({ field, problem }) => ({ field, description: problem, reason: error.code }));
    details.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations })));
  }
  if (retryAfterMs !== undefined) {
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) })));
  }
  return details;
}

/** The bytes of the trailer `grpc-status-details-bin`. */
export function statusDetailsTrailer(error: PinfoldError): Uint8Array {
  const status = create(StatusSchema, {
    code: statusCode(error),
    message: error.message,
    details: errorDetails(error),
  });
  return toBinary(StatusSchema, status);
}
