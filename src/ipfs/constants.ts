/** Limits of the IPFS module. Each with its unit, its reason and what happens at it. */

/** Largest block that is stored or fetched: twice what bitswap peers send (2 MiB). Above: INVALID_DAG. */
export const BLOCK_BYTES_MAX = 4 * 1024 * 1024;

/** Longest CID of a pin record: LMDB keys end at 511 bytes, pins at 128 (identity CIDs carry content). Above: INVALID_DAG. */
export const CID_BYTES_MAX = 255;

/**
 * Distinct blocks that one walk remembers, at 16 bytes each (a set of up to 512 MiB when full). 4 TiB in blocks of
 * 256 KiB. One DAG above it cannot be pinned, all pins together above it cannot be collected: FAILED, naming the limit.
 */
export const WALK_BLOCKS_MAX = 16 * 1024 * 1024;

/** Links a walk has found and not yet visited. Depth first: depth times width. Above: FAILED. */
export const WALK_PENDING_MAX = 2 * 1024 * 1024;

/** Nesting of one dag-cbor or dag-json block. Above: INVALID_DAG. */
export const IPLD_DEPTH_MAX = 1024;

/** Blocks that one path may lead through, and their bytes together. Above: FAILED. A sharded directory has up to 8 for one name. */
export const PATH_BLOCKS_MAX = 1_024;
export const PATH_BYTES_MAX = 64 * 1024 * 1024;

/** Blocks that one pin asks for at once: at 256 KiB about what a connection has in flight. */
export const WANTS_PER_PIN_MAX = 32;

/** Blocks asked for at once by all pins together, shared evenly, but at least one each: half of what a Helia peer remembers. */
export const WANTS_MAX = 512;

/** A walk looks at local blocks with this many reads at once. */
export const LOCAL_READS_MAX = 16;

/** Dialling the sources before a pin: gives up after so long (ms); the walk goes on with who is connected. */
export const CONNECT_TIMEOUT_MS = 5_000;

/** Sources dialled for one pin at once. Of more the next ones have their turn when it stalls, or with the next pin. */
export const SOURCES_MAX = 16;

/** Addresses of one source that are dialled. More are ignored. */
export const SOURCE_ADDRESSES_MAX = 32;

/** Sources dialled at once by one call. */
export const DIALS_IN_FLIGHT_MAX = 8;

/** Blocks and bytes that go to the disk in one batch (one flush each). */
export const LANDING_BLOCKS_MAX = 128;
export const LANDING_BYTES_MAX = 16 * 1024 * 1024;

/** Files of one batch being written at once. */
export const LANDING_FILES_OPEN_MAX = 32;

/** Below so many free bytes on the device nothing is written any more: DISK_FULL, while LMDB can still commit. */
export const FREE_BYTES_MIN = 128 * 1024 * 1024;

/** Pin records read at once by a listing. */
export const LIST_PAGE_RECORDS = 1_000;

/** What the embedded node listens on when nothing is configured. */
export const LISTEN_ADDRESSES_DEFAULT: readonly string[] = ['/ip4/0.0.0.0/tcp/9099'];

/** Connections of the embedded node's host. Above: the least useful are closed by libp2p. */
export const CONNECTIONS_MAX = 300;

/** How long a stop waits for the host before it is given up as stuck, ms. */
export const STOP_TIMEOUT_MS = 5_000;
