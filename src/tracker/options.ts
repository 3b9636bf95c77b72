import { defineOptions, integer, milliseconds, type OptionsOf } from '../config/option.ts';

export const trackerOptions = defineOptions('tracker', 'How the IPFS node is brought to what the pinset says.', {
  concurrentPinsMax: integer({
    default: 10,
    min: 1,
    max: 1000,
    unit: 'pins',
    says: 'pins and unpins under way at once',
  }),
  pinTimeoutMs: milliseconds({
    default: 120_000,
    min: 100,
    says: 'a pin that makes no progress for so long has failed, until it is tried again',
  }),
  retryBaseMs: milliseconds({
    default: 30_000,
    min: 10,
    says: 'the first retry comes after about so long; each further one after about twice the time of the one before',
  }),
  retryMaxMs: milliseconds({
    default: 3_600_000,
    min: 10,
    says: 'the longest time between two retries; they never end',
  }),
  unpinDelayMs: milliseconds({
    default: 60_000,
    min: 0,
    says: 'how long the node keeps what is no longer allocated to this peer, in case the allocation comes back',
  }),
});

export type TrackerOptions = OptionsOf<typeof trackerOptions>;
