import { bytes, defineOptions, integer, list, milliseconds, type OptionsOf } from '../../config/option.ts';

import { TRUSTED_PEERS_MAX } from './constants.ts';

/** Defaults and meaning: docs/protocol.md, sections 4.3 to 4.6, 5.1, 6.3 and 9. What all peers must agree on is no option. */
export const crdtOptions = defineOptions('crdt', 'The CRDT consensus: how eagerly peers catch up, and its limits.', {
  trustedPeers: list({
    default: ['*'],
    itemsMax: TRUSTED_PEERS_MAX,
    pattern: '^(\\*|12D3KooW[1-9A-HJ-NP-Za-km-z]{44})$',
    form: 'a peer ID, or * for all',
    says: 'whose operations and state this peer takes: peer IDs, or `*` for all peers of the private network; itself it always trusts. `pinfold peers trust` shows and changes it while the peer runs',
  }),
  antiEntropyIntervalMs: milliseconds({
    default: 10_000,
    min: 100,
    says: 'how often a Hello is exchanged with one random trusted peer, give or take 30 %',
  }),
  compareIntervalMs: milliseconds({
    default: 3_600_000,
    min: 1_000,
    says: 'how often digests are compared bucket by bucket with one random trusted peer, give or take 30 %: under constant load clocks are never equal',
  }),
  followPeersMax: integer({
    default: 3,
    min: 0,
    max: 64,
    unit: 'peers',
    says: 'random trusted peers whose new batches are streamed to this one',
  }),
  pullDelayMs: milliseconds({
    default: 200,
    min: 0,
    says: 'how long after an announcement or a missing batch is noticed it is asked for, give or take 50 %',
  }),
  pendingBytesMax: bytes({
    default: 32 * 1024 ** 2,
    min: 1024 ** 2,
    says: 'batches that wait for what they depend on',
  }),
  pendingAuthorBytesMax: bytes({ default: 4 * 1024 ** 2, min: 1024 ** 2, says: 'the same, of one author' }),
  pendingBatchesMax: integer({ default: 4096, min: 16, max: 1_000_000, unit: 'batches', says: 'the same, counted' }),
  pendingTimeoutMs: milliseconds({ default: 10_000, min: 100, says: 'how long a batch waits before it is dropped' }),
  syncsServedMax: integer({ default: 8, min: 1, max: 1024, unit: 'calls', says: 'Sync calls served at once' }),
  syncsAskedMax: integer({ default: 2, min: 1, max: 64, unit: 'calls', says: 'Sync calls made at once' }),
  rangesServedMax: integer({ default: 2, min: 1, max: 64, unit: 'calls', says: 'MergeRange calls served at once' }),
  restartCompareTimeoutMs: milliseconds({
    default: 3_000,
    min: 0,
    max: 60_000,
    says: 'a peer that starts with pins compares clocks with the others before it takes writes, and waits so long for those that it does not reach; 0: it does not',
  }),
  shadowStallTimeoutMs: milliseconds({
    default: 600_000,
    min: 1000,
    says: 'a rebuild without progress for so long is given up',
  }),
  rebuildPatienceMs: milliseconds({
    default: 60_000,
    min: 100,
    says: 'how long nobody that is reached can send from its log what this peer lacks before it rebuilds',
  }),
  logBytesMax: bytes({
    default: 2 * 1024 ** 3,
    min: 1024 ** 2,
    says: 'the log beyond which its oldest batches go, whoever lacks them: who comes later than that rebuilds',
  }),
  logAgeMaxMs: milliseconds({ default: 7 * 86_400_000, min: 1000, says: 'the same, by the age of the batches' }),
  logAgeMinMs: milliseconds({
    default: 3_600_000,
    min: 1000,
    says: 'batches older than this go when all trusted peers that were heard in the last 24 h have them',
  }),
  clockSkewMaxMs: milliseconds({
    default: 60_000,
    min: 1000,
    says: 'writes are refused when the clock is further than this from the median of at least two trusted peers',
  }),
  idempotencyKeepMs: milliseconds({ default: 86_400_000, min: 1000, says: 'how long idempotency keys are remembered' }),
  idempotencyRowsMax: integer({
    default: 1_000_000,
    min: 1000,
    max: 100_000_000,
    unit: 'keys',
    says: 'how many of them; the oldest are forgotten first',
  }),
});

export type CrdtOptions = OptionsOf<typeof crdtOptions>;
