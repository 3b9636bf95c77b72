import { bytes, defineOptions, integer, list, milliseconds, type OptionsOf } from '../config/option.ts';
import { FEED_AGE_MS, FEED_BYTES_MAX, INDEXED_METADATA_KEYS_MAX } from './constants.ts';

export const pinsetOptions = defineOptions('pinset', 'How the pins are kept.', {
  indexedMetadata: list({
    default: [],
    itemsMax: INDEXED_METADATA_KEYS_MAX,
    pattern: '^[^\\u0000]{1,64}$',
    form: 'a metadata key of at most 64 characters',
    says: 'metadata keys that listings can filter by quickly; each costs about 80 bytes for a pin that has it',
  }),
  feedAgeMs: milliseconds({
    default: FEED_AGE_MS,
    min: 1000,
    says: 'how long changes of pins are kept for watchers that come back, and for the tracker',
  }),
  feedBytesMax: bytes({
    default: FEED_BYTES_MAX,
    min: 1024 ** 2,
    says: 'how much of them; beyond it the oldest go, and whoever was further behind lists again',
  }),
  scrubPercentPerHour: integer({
    default: 1,
    min: 0,
    max: 100,
    unit: 'percent',
    says: 'how much of the pinset is re-read against its digest in an hour, to find what the disk changed; 0: none',
  }),
  scrubRowsPerSecondMax: integer({
    default: 25_000,
    min: 100,
    max: 1_000_000,
    unit: 'rows',
    says: 'how fast "pinfold store scrub" reads rows and index entries',
  }),
});

export type PinsetOptions = OptionsOf<typeof pinsetOptions>;
