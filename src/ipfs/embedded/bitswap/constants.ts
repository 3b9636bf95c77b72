import { BLOCK_BYTES_MAX } from '../../constants.ts';

/** https://specs.ipfs.tech/bitswap-protocol/ */
export const BITSWAP_PROTOCOL = '/ipfs/bitswap/1.2.0';

/** Largest message taken in: one block and its wrapping. Above: the stream is reset. */
export const MESSAGE_BYTES_MAX = BLOCK_BYTES_MAX + 64 * 1024;

/**
 * Blocks of one message sent: full when it has so many bytes of them, and before that when the next block would make it longer than
 * one block may be: the other side takes no more. What one peer may cost in memory.
 */
export const SENT_BLOCK_BYTES_MAX = 1024 * 1024;

/** Bytes of unfinished messages of one peer, on all of its streams. Above: the stream that goes beyond is reset. */
export const UNFINISHED_BYTES_MAX = 4 * MESSAGE_BYTES_MAX;

/** Wants, blocks and presences in one message taken in; each costs some hundred bytes of memory, and may be sent in two. Above: the stream is reset. */
export const MESSAGE_ENTRIES_MAX = 32_768;

/** Longest CID of a want, as boxo has it. Longer: passed over. */
export const WANT_CID_BYTES_MAX = 168;

/** Wants of one peer that wait to be looked at, while it does not take what was sent. Above: new ones are passed over. */
export const LEDGER_DUE_MAX = 16_384;

/** Words on our own wants that wait for one peer. Above: it counts as failed, and all that waits is dropped. */
export const OUTGOING_ENTRIES_MAX = 16_384;

/** Entries of the want list of one peer that are remembered. Above: new ones are answered, and not remembered. */
export const LEDGER_ENTRIES_MAX = 4_096;

/** Wantlist entries of one message sent. */
export const SENT_ENTRIES_MAX = 512;

/** Streams that one connection may have open towards us. */
export const INBOUND_STREAMS_MAX = 32;

/** A stream that was not written to for so long is closed, before the other side resets it (Helia: 10 s). */
export const STREAM_IDLE_MS = 5_000;

/** Opening a stream, or waiting until a message has gone out, ms. After that the peer counts as failed. */
export const SEND_TIMEOUT_MS = 20_000;

/** A block asked for from a peer that has sent nothing for so long is asked for elsewhere, too, ms. */
export const ANSWER_TIMEOUT_MS = 5_000;

/** The same for a peer that sends all the time, but not that block, ms. */
export const ANSWER_PATIENCE_MS = 20_000;

/** How often that is looked at, ms. */
export const ANSWER_CHECK_MS = 1_000;
