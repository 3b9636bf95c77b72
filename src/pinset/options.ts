import { defineOptions, integer, list, type OptionsOf } from '../config/option.ts';
import { INDEXED_METADATA_KEYS_MAX } from './constants.ts';

export const pinsetOptions = defineOptions('pinset', 'How the pins are kept.', {
  indexedMetadata: list({
    default: [],
    itemsMax: INDEXED_METADATA_KEYS_MAX,
    pattern: '^[^\\u0000]{1,64}$',
    form: 'a metadata key of at most 64 characters',
    says: 'metadata keys that listings can filter by quickly; each costs about 80 bytes for a pin that has it',
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
