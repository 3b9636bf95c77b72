import { defineOptions, integer, milliseconds, type OptionsOf } from '../config/option.ts';

export const trackerOptions = defineOptions('tracker', 'How the IPFS node is brought to what the pinset says.', {
  concurrentPinsMax: integer({
    default: 10,
    min: 1,
    max: 1000,
    unit: 'pins',
    says: 'pins under way at once; fewer while the node becomes slow, and half as many unpins besides',
  }),
  pinTimeoutMs: milliseconds({
    default: 120_000,
    min: 100,
    says: 'a pin that makes no progress for so long has failed, until it is tried again',
  }),
  unpinTimeoutMs: milliseconds({
    default: 120_000,
    min: 100,
    says: 'an unpin that the node does not answer for so long has failed, until it is tried again',
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
  auditIntervalMs: milliseconds({
    default: 43_200_000,
    min: 1000,
    says: 'how often the pins of the node are compared with the status index; once more at each start, and when the node was away',
  }),
  auditRateMax: integer({
    default: 5000,
    min: 1,
    max: 1_000_000,
    unit: 'pins a second',
    says: 'how fast the audit goes at most',
  }),
  feedAgeMs: milliseconds({
    default: 3_600_000,
    min: 1000,
    says: 'how long changes of statuses are kept for watchers that come back',
  }),
  feedChangesMax: integer({
    default: 1_000_000,
    min: 1000,
    max: 100_000_000,
    unit: 'changes',
    says: 'how many changes of statuses are kept for watchers that come back',
  }),
});

export type TrackerOptions = OptionsOf<typeof trackerOptions>;
