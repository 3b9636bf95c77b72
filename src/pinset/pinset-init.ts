import { defaultsOf } from '../config/option.ts';
import { INDEXED_METADATA_KEY_BYTES_MAX, INDEXED_METADATA_KEYS_MAX } from './constants.ts';
import { pinsetOptions } from './options.ts';

export interface PinsetInit {
  /** Metadata keys with an index: listings by such a pair need not look at other pins. Default: none. */
  indexedMetadata?: readonly string[];
  /** How long changes are kept in the feed, milliseconds. Default: 1 h. */
  feedAgeMs?: number;
  /** And how many bytes of them. Default: 1 GiB. */
  feedBytesMax?: number;
  /** How much is re-read in an hour to find damage. Default: 1. */
  scrubPercentPerHour?: number;
  /** And how fast when it is asked for. Default: 25,000. */
  scrubRowsPerSecondMax?: number;
}

/** Throws RangeError. */
export function completeInit(init: PinsetInit): Required<PinsetInit> {
  const whole = { ...defaultsOf(pinsetOptions), ...init };
  checkIndexed(whole.indexedMetadata);
  return whole;
}

function checkIndexed(keys: readonly string[]): void {
  const tooLong = keys.find((key) => key === '' || Buffer.byteLength(key) > INDEXED_METADATA_KEY_BYTES_MAX);
  if (tooLong !== undefined || keys.length > INDEXED_METADATA_KEYS_MAX) {
    throw new RangeError(
      `at most ${INDEXED_METADATA_KEYS_MAX} metadata keys of 1 to ${INDEXED_METADATA_KEY_BYTES_MAX} bytes can be indexed`,
    );
  }
}
