import { BLOCK_BYTES_MAX } from '../../constants.ts';

/** https://specs.ipfs.tech/bitswap-protocol/ */
export const BITSWAP_PROTOCOL = '/ipfs/bitswap/1.2.0';

/** Largest message taken in: one block and its wrapping. Above: the stream is reset. */
export const MESSAGE_BYTES_MAX = BLOCK_BYTES_MAX + 64 * 1024;

/** Blocks of one message sent: full when it has so many bytes of them. What one peer may cost in memory. */
export const SENT_BLOCK_BYTES_MAX = 1024 * 1024;

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

/** How often that is looked at, ms. */
export const ANSWER_CHECK_MS = 1_000;
