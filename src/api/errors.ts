import { isPinfoldError, PinfoldError } from '../model/errors.ts';
import { encodeStatus, errorTextLengthMax } from '../model/google-status.ts';
import { errorDetailsBytesMax } from './constants.ts';

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

/** The bytes of the trailer `grpc-status-details-bin`. */
export function statusDetailsTrailer(error: PinfoldError): Uint8Array {
  return encodeStatus(error, error.message, errorDetailsBytesMax);
}
