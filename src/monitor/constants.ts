/** Limits and periods of the monitor, each with its unit and what happens at it. */

/** What is signed begins with these, so that no signature passes for one of another kind. */
export const RECORD_DOMAIN = 'pinfold/record/1';
export const METRICS_DOMAIN = 'pinfold/metrics/1';
export const FORGOTTEN_DOMAIN = 'pinfold/forgotten/1';

/** Members known, this peer included. Records of further ones are ignored and counted. */
export const MEMBERS_MAX = 4_096;

/** Encoded record or metrics, bytes, signature left out. Longer ones are rejected. */
export const RECORD_BYTES_MAX = 8 * 1024;
/** Encoded word that a member is forgotten, bytes: its last record with signature and framing, and whose word it is. */
export const FORGOTTEN_BYTES_MAX = RECORD_BYTES_MAX + 256;
/** A gossip message: one of them with its signature and framing. */
export const RECORDS_MESSAGE_BYTES_MAX = FORGOTTEN_BYTES_MAX + 256;

/** Members remembered as removed. For a further one that which was removed first is remembered no longer. */
export const FORGOTTEN_MAX = 4_096;
/** Of these given away with one Hello, bytes. Those that do not fit go with another one. */
export const HELLO_FORGOTTEN_BYTES_MAX = 256 * 1024;

/** Of a record: addresses of the peer, or of its IPFS node. */
export const ADDRESSES_MAX = 32;
/** Of those that this peer says of itself, bytes together: what does not fit is left out. */
export const OWN_ADDRESSES_BYTES_MAX = 3 * 1024;
export const ADDRESS_BYTES_MAX = 512;
/** Names, versions, agents, values of metrics in text; bytes. */
export const TEXT_BYTES_MAX = 256;
/** Metrics in one message. */
export const METRICS_MAX = 64;

/** How long values are taken for valid at most and at least, whatever their sender says, ms. */
export const TTL_MS_MIN = 1_000;
export const TTL_MS_MAX = 600_000;

/** Own record, gossiped again so often (give or take a tenth), ms. */
export const RECORD_GOSSIP_INTERVAL_MS = 5 * 60_000;
/**
 * Own record, made anew so often without a change, ms: so the version tells how old a record is that came through others,
 * and a member that is gone is not brought back by who still remembers it.
 */
export const RECORD_REFRESH_MS = 24 * 3_600_000;
/** After a new connection, own record and metrics are gossiped; so long after it at the soonest, ms. */
export const GREETING_DELAY_MS = 1_000;

/** Members not heard for so long are dropped, ms. */
export const FORGET_AFTER_MS = 30 * 24 * 3_600_000;
/** ... but none so soon after a start, or after the wall clock jumped: it may be wrong, ms. */
export const FORGET_GRACE_MS = 3_600_000;
/** A wall clock that moved by so much more or less than the monotonic one has jumped, ms. */
export const CLOCK_JUMP_MS = 60_000;
/** When a member was last heard is written so often, ms. */
export const HEARD_SAVE_INTERVAL_MS = 3_600_000;

/** Health is judged so often, ms. A pause of this process counts as three such intervals at most: it was deaf, not they silent. */
export const CHECK_INTERVAL_MS = 1_000;
/** The own record is compared with what is now so often, ms. */
export const OWN_RECORD_CHECK_MS = 10_000;

/** Versions are written to the disk so far ahead of use, ms: one write serves many versions. */
export const VERSION_RESERVE_MS = 10 * 60_000;

/** Accepted records and metrics of one member: so many at once, then one each so many ms. More are ignored. */
export const RECORDS_BURST = 10;
export const RECORD_EVERY_MS = 10_000;
export const METRICS_BURST = 10;
export const METRICS_EVERY_MS = 1_000;
/** Signatures verified for one forwarding peer (0.1 ms each): so many at once (a Hello of a full cluster), then one each so many ms. */
export const VERIFY_BURST = 2 * MEMBERS_MAX;
export const VERIFY_EVERY_MS = 2;

/** Records and metrics given away with one Hello, bytes. Those that do not fit go with another one. */
export const HELLO_BYTES_MAX = 3 * 1024 * 1024;
/** Of each record or metrics in it: signature and framing, bytes. */
export const HELLO_ENTRY_OVERHEAD_BYTES = 80;

/** Alerts listed. Further ones are logged and counted, not listed. */
export const ALERTS_MAX = 10_000;
/** Of an alert's message, characters; the rest is cut off. */
export const ALERT_MESSAGE_LENGTH_MAX = 1_024;

/** An informer that has not answered after so long is left out of that round, ms. */
export const INFORMER_TIMEOUT_MS = 5_000;
/** Asking the IPFS node who it is gives up after so long, ms. */
export const IPFS_ID_TIMEOUT_MS = 5_000;

/** Metrics live so long unless the configuration says otherwise, ms; they are published twice in that time. */
export const METRICS_TTL_MS_DEFAULT = 30_000;
