import { create, toBinary } from '@bufbuild/protobuf';
import { type Any, anyPack, durationFromMs } from '@bufbuild/protobuf/wkt';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { errorRegistry, type PinfoldError, type StatusName } from './errors.ts';

/** The `domain` of every google.rpc.ErrorInfo that Pinfold gives away. */
export const errorDomain = 'pinfold';

/** Longer texts in details are cut: they may quote what a caller sent. UTF-16 units. */
export const errorTextLengthMax = 2_000;

/** https://grpc.io/docs/guides/status-codes/ */
const statusCodes: Readonly<Record<StatusName, number>> = {
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

/** The bytes of a google.rpc.Status. Above `bytesMax` it has ErrorInfo alone and no message. */
export function encodeStatus(error: PinfoldError, message: string, bytesMax: number): Uint8Array {
  const encode = (details: Any[], text: string) =>
    toBinary(StatusSchema, create(StatusSchema, { code: statusCode(error), message: text, details }));
  const whole = encode(errorDetails(error), message);
  return whole.length <= bytesMax ? whole : encode([errorInfo(error)], '');
}
