/** Names on the wire. A change of meaning gets a new number. */
export const RPC_PROTOCOL = '/pinfold/rpc/1';
export const GOSSIP_TOPIC_PREFIX = 'pinfold/1/';
/** HKDF-SHA256 of the cluster secret with this information is Noise's prologue. */
export const SWARM_PROLOGUE_INFO = 'pinfold/swarm/1';
export const SWARM_PROLOGUE_BYTES = 32;
/** Peers of one secret find each other by mDNS under a name made from it, and see no others. */
export const MDNS_TAG_INFO = 'pinfold/mdns/1';
export const MDNS_TAG_BYTES = 8;

// Connections

/** Unless the configuration says otherwise. */
export const CONNECTIONS_MAX = 300;
/** Strangers can hold this many half-made connections; at the limit new ones are closed. */
export const CONNECTIONS_PENDING_MAX = 64;
/** A cluster on one machine starts all its peers at once. */
export const CONNECTIONS_PER_HOST_PER_SECOND_MAX = 64;
export const DIAL_TIMEOUT_MS = 10_000;
export const DIALS_PARALLEL_MAX = 16;
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A peer that does not answer a ping sent this often loses its connection. */
export const PING_INTERVAL_MS = 10_000;
/** Longer than libp2p's own 5 s: a peer that is busy with its disk is not gone. */
export const PING_TIMEOUT_MS = 20_000;
/** One warning per remote address in this time about handshakes refused; all are counted. */
export const HANDSHAKE_WARNING_INTERVAL_MS = 60_000;
export const HANDSHAKE_WARNING_ADDRESSES_MAX = 1_000;

/** The redialer keeps at least this many peers connected, where it knows so many. */
export const PEERS_WANTED = 128;
export const REDIAL_FIRST_MS = 500;
export const REDIAL_LAST_MS = 60_000;
export const REDIAL_JITTER = 0.3;
export const REDIALS_PARALLEL_MAX = 8;

export const ADDRESS_BOOK_PEERS_MAX = 1_000;
export const ADDRESSES_PER_PEER_MAX = 16;
export const ADDRESS_LENGTH_MAX = 256;
/** Changes are gathered this long before they are written. */
export const ADDRESS_BOOK_SAVE_DELAY_MS = 2_000;

export const STOP_TIMEOUT_MS = 5_000;

// Streams. A stream holds at most READ_BUFFER_BYTES_MAX plus one window plus one message; the window grows from
// the first figure to the second as the round trip allows, and must stay below libp2p's read buffer, which resets
// the stream when a paused reader's window overflows it.

export const STREAM_WINDOW_FIRST_BYTES = 256 * 1024;
export const STREAM_WINDOW_BYTES_MAX = 2 * 1024 * 1024;
export const STREAM_READ_BUFFER_BYTES_MAX = 4 * 1024 * 1024;
/** More unread bytes than this stop the sender. */
export const READ_BUFFER_BYTES_MAX = 256 * 1024;
/** Live streams are silent for as long as nothing happens; whether the peer is there is for pings to tell. */
export const STREAM_INACTIVITY_MS = 24 * 60 * 60 * 1_000;
export const RPC_STREAMS_PER_PEER_MAX = 256;

// Calls

export const RPC_HEAD_BYTES_MAX = 4 * 1024;
export const RPC_TRAILER_BYTES_MAX = 16 * 1024;
export const RPC_ERROR_MESSAGE_LENGTH_MAX = 1_024;
/** From the opening of a stream to the head of its first call. */
export const RPC_HEAD_TIMEOUT_MS = 10_000;
/** Callers and methods whose calls are counted in time; the one not heard for longest is forgotten. */
export const RPC_ALLOWANCES_MAX = 16_384;
/** A caller over its rate is refused so much later: it must not be faster by being refused. */
export const RPC_RATE_REFUSAL_DELAY_MS = 500;
/** Between frames of a caller that has not ended its requests. */
export const RPC_REQUEST_TIMEOUT_MS = 30_000;
/** After the trailer, for what the caller had already sent. */
export const RPC_DRAIN_TIMEOUT_MS = 10_000;
/** A reader that takes nothing for so long loses the call. */
export const RPC_WRITE_TIMEOUT_MS = 60_000;
/** A callee with nothing to send says so this often... */
export const RPC_ALIVE_INTERVAL_MS = 15_000;
/** ...and a caller that hears nothing for so long takes it for gone. */
export const RPC_SILENCE_MAX_MS = 60_000;
/** Streams kept for the next calls: opening one costs about eight times as much as a unary call on an open one. */
export const RPC_IDLE_STREAMS_PER_PEER_MAX = 64;
export const RPC_IDLE_STREAM_MS = 60_000;
/** The callee waits longer than the caller, so that it never closes a stream that a call is being sent on. */
export const RPC_IDLE_STREAM_CALLEE_MS = 5 * RPC_IDLE_STREAM_MS;

// Gossip

/** Larger messages are announced only (G1). */
export const GOSSIP_MESSAGE_BYTES_MAX = 64 * 1024;
/** A frame of gossipsub carries several messages when a peer asks for those it missed. */
export const GOSSIP_FRAME_BYTES_MAX = 4 * 1024 * 1024;
/** A peer that is so far behind loses its gossip stream, and then its connection; it is dialled anew. */
export const GOSSIP_QUEUE_BYTES_MAX = 16 * 1024 * 1024;
export const GOSSIP_HEARTBEAT_MS = 1_000;
export const GOSSIP_SEEN_MS = 120_000;
