import { create, toBinary } from '@bufbuild/protobuf';
import { type Any, anyPack, durationFromMs } from '@bufbuild/protobuf/wkt';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { errorRegistry, isPinfoldError, PinfoldError, type StatusName } from '../model/errors.ts';
import { errorDetailsBytesMax, errorTextLengthMax } from './constants.ts';

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

/**
 * What a client gets to see: expected failures as they are, defects without their inside. Texts may quote what the client sent: they are
 * bounded, and well-formed (gRPC's percent-encoding of the message throws at half a surrogate pair).
 */
export function publicError(error: unknown): PinfoldError {
  if (isPinfoldError(error)) {
    const { message } = error;
    if (message.length <= errorTextLengthMax && message.isWellFormed()) return error;
    return new PinfoldError(error.code, message.slice(0, errorTextLengthMax).toWellFormed(), error.details);
  }
  return new PinfoldError('INTERNAL', 'an unexpected error; the log of the peer has more', { cause: error });
}

export function statusCode(error: PinfoldError): number {
  return statusCodes[errorRegistry[error.code].status];
}

/** google.rpc details: always ErrorInfo, and BadRequest and RetryInfo where they apply. */
export function errorDetails(error: PinfoldError): Any[] {
  const { fields, retryAfterMs, facts } = error.details;
  const details = [errorInfo(error, facts)];
  if (fields !== undefined) {
    const fieldViolations = fields.map(({ field, problem }) => ({
      field,
      description: problem.slice(0, errorTextLengthMax).toWellFormed(),
      reason: error.code,
    }));
    details.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations })));
  }
  if (retryAfterMs !== undefined) {
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) })));
  }
  return details;
}

function errorInfo({ code }: PinfoldError, facts: Readonly<Record<string, string>> = {}): Any {
  const info = create(ErrorInfoSchema, { reason: code, domain: errorDomain, metadata: { ...facts } });
  return anyPack(ErrorInfoSchema, info);
}

/** The bytes of the trailer `grpc-status-details-bin`. */
export function statusDetailsTrailer(error: PinfoldError): Uint8Array {
  const encode = (details: Any[], message: string) =>
    toBinary(StatusSchema, create(StatusSchema, { code: statusCode(error), message, details }));
  const whole = encode(errorDetails(error), error.message);
  return whole.length <= errorDetailsBytesMax ? whole : encode([errorInfo(error)], '');
}
