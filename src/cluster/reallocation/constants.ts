/** Pins that one look finds to be moved, at most: the most endangered. Some 100 bytes each. The rest is found by the next one. */
export const REALLOCATION_QUEUE_MAX = 50_000;
/** Pins looked at between two turns of others. */
export const REALLOCATION_SCAN_PINS = 500;
/**
 * After them it rests so many times as long as they took, until one is found that is to be moved: the peers stand otherwise whenever one
 * joins, and that itself is work for all.
 */
export const REALLOCATION_SCAN_REST = 4;
/** Pins moved in one call of the consensus, and asked about in one question to a peer. */
export const REALLOCATED_AT_ONCE_MAX = 200;
/** How often is looked whether peers stand otherwise, or pins were written that lie wrong, ms. */
export const REALLOCATION_CHECK_MS = 1_000;
/** Between two looks while pins wait for their new copies, ms: doubled while nothing gets on. */
export const REALLOCATION_PAUSE_MS_MIN = 2_000;
export const REALLOCATION_PAUSE_MS_MAX = 60_000;
/** Pins written between two such looks that are looked at at once. Of more, all pins are, with the next round. */
export const REALLOCATION_WRITTEN_MAX = 1_000;
/** With nothing left to do, all pins are looked at again if pins were written too fast: so long after the last look, ms, or 10 times what that took, rests included. */
export const REALLOCATION_INTERVAL_MS = 30_000;
/** After so long, ms of wall clock, another peer acts on a pin: one that could not, for whatever reason, holds up nothing for ever. */
export const ACTING_PEER_CHANGES_MS = 600_000;

/** While a drain is followed, pins are counted so often, ms; at most for a fifth of the time. */
export const DRAIN_COUNT_PAUSE_MS = 1_000;
export const DRAIN_COUNT_REST = 4;

/** A peer gives up pins once it has so much more than its share. */
export const REBALANCE_TOLERANCE = 0.05;
