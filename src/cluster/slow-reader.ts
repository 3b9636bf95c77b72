import { PinfoldError } from '../model/errors.ts';
import { READER_STALL_MS_MAX } from './constants.ts';

/** Said to a reader that let changes wait for too long. */
export function slowReader(token: Uint8Array | undefined): PinfoldError {
  const facts = token === undefined ? {} : { resumeToken: Buffer.from(token).toString('base64') };
  const seconds = READER_STALL_MS_MAX / 1000;
  return new PinfoldError(
    'SLOW_READER',
    `nothing was read for ${seconds} s while changes wait; resume from the last token`,
    { facts },
  );
}
