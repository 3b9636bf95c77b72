import { defineOptions, list, type OptionsOf } from '../config/option.ts';
import { INDEXED_METADATA_KEYS_MAX } from './constants.ts';

export const pinsetOptions = defineOptions('pinset', 'How the pins are kept.', {
  indexedMetadata: list({
    default: [],
    itemsMax: INDEXED_METADATA_KEYS_MAX,
    pattern: '^[^\\u0000]{1,64}$',
    form: 'a metadata key of at most 64 characters',
    says: 'metadata keys that listings can filter by quickly; each costs about 80 bytes for a pin that has it',
  }),
});

export type PinsetOptions = OptionsOf<typeof pinsetOptions>;
