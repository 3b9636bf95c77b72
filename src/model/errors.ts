/**
 * Every error that a client or an operator can meet. The code is the stable reason of `google.rpc.ErrorInfo`;
 * `status` is the gRPC status that it is answered with. One table: doors never map errors themselves.
 */
export const errorRegistry = {
  INVALID_ARGUMENT: { status: 'INVALID_ARGUMENT', says: 'something in the request is malformed or over a limit' },
  INVALID_CID: { status: 'INVALID_ARGUMENT', says: 'the text is not a CID, or a CID of a form that cannot be pinned' },
  INVALID_PATH: {
    status: 'INVALID_ARGUMENT',
    says: 'the text is not a path to content, or it leads into a block where a whole one is needed',
  },
  INVALID_CURSOR: {
    status: 'INVALID_ARGUMENT',
    says: 'the cursor was not made by a listing with this filter and order',
  },
  INVALID_TOKEN: { status: 'INVALID_ARGUMENT', says: 'the resume token is damaged or from another kind of watch' },
  PIN_NOT_FOUND: { status: 'NOT_FOUND', says: 'the pinset has no such pin in that namespace' },
  PATH_NOT_FOUND: { status: 'NOT_FOUND', says: 'the path names something that is not there; the message says where' },
  PEER_NOT_FOUND: { status: 'NOT_FOUND', says: 'no member of the cluster has that peer ID' },
  CONDITION_FAILED: { status: 'FAILED_PRECONDITION', says: 'ifAbsent or ifMatch did not hold' },
  ETAG_UNKNOWN: { status: 'ABORTED', says: 'the etag is not one that this peer has seen yet; try again' },
  NOT_ENOUGH_PEERS: {
    status: 'FAILED_PRECONDITION',
    says: 'fewer peers can take the pin than the minimum replication factor',
  },
  LEVEL_UNREACHABLE: {
    status: 'FAILED_PRECONDITION',
    says: 'the acknowledgement level asks for more peers than there are (fact `peers`)',
  },
  FOLLOWER: { status: 'FAILED_PRECONDITION', says: 'this peer is a follower and takes no writes' },
  NOT_TRUSTED: { status: 'FAILED_PRECONDITION', says: 'no other member would take the writes of this peer' },
  JOINING: { status: 'UNAVAILABLE', says: 'this peer is still taking in the pinset; write at another peer meanwhile' },
  CLOCK_SKEW: { status: 'FAILED_PRECONDITION', says: 'the clock of this peer is too far from those of the others' },
  STORE_FORKED: {
    status: 'FAILED_PRECONDITION',
    says: 'the store of this peer is on a branch that its cluster has left; it must rejoin',
  },
  NOT_COVERED: {
    status: 'FAILED_PRECONDITION',
    says: 'no other peer has all that was written at this one; leaving the store would lose it',
  },
  IDEMPOTENCY_MISMATCH: { status: 'INVALID_ARGUMENT', says: 'the idempotency key was used for a different request' },
  STREAM_GAP: { status: 'INVALID_ARGUMENT', says: 'the operations of a bulk stream are not numbered without gaps' },
  HISTORY_GONE: { status: 'OUT_OF_RANGE', says: 'the changes since that resume token are gone; list again' },
  LIMIT_REACHED: { status: 'RESOURCE_EXHAUSTED', says: 'a limit of this peer is reached; try again later' },
  SLOW_READER: { status: 'RESOURCE_EXHAUSTED', says: 'the reader fell too far behind; resume from the last token' },
  UNIMPLEMENTED: { status: 'UNIMPLEMENTED', says: 'this version does not have that yet' },
  DEADLINE: { status: 'DEADLINE_EXCEEDED', says: 'the deadline passed before the answer was ready' },
  CANCELLED: { status: 'CANCELLED', says: 'the caller went away' },
  PERMISSION_DENIED: { status: 'PERMISSION_DENIED', says: 'the caller may not do this' },
  PEER_UNREACHABLE: { status: 'UNAVAILABLE', says: 'another peer that is needed does not answer' },
  IPFS_UNAVAILABLE: { status: 'UNAVAILABLE', says: 'the IPFS node of this peer does not answer' },
  IPFS_FAILED: {
    status: 'UNAVAILABLE',
    says: 'the IPFS node did not do what it was asked for; the message has its words',
  },
  NAMES_UNSUPPORTED: {
    status: 'FAILED_PRECONDITION',
    says: 'the IPFS node of this peer resolves no /ipns names; ask a peer with Kubo',
  },
  SHUTTING_DOWN: { status: 'UNAVAILABLE', says: 'this peer is stopping' },
  STORAGE_FAILED: { status: 'UNAVAILABLE', says: 'the store of this peer cannot be written or read' },
  DISK_FULL: { status: 'RESOURCE_EXHAUSTED', says: 'too little free disk to take writes' },
  DATA_CORRUPT: { status: 'DATA_LOSS', says: 'something on this disk is damaged' },
  CONFIG_INVALID: { status: 'FAILED_PRECONDITION', says: 'the configuration cannot be used' },
  ALREADY_INITIALISED: { status: 'FAILED_PRECONDITION', says: 'the folder already holds a peer' },
  FOLDER_IN_USE: { status: 'FAILED_PRECONDITION', says: 'another daemon runs on this folder' },
  INTERNAL: { status: 'INTERNAL', says: 'a defect of Pinfold; the log has more' },
} as const satisfies Record<string, { status: StatusName; says: string }>;

export type ErrorCode = keyof typeof errorRegistry;

/** The names of the gRPC status codes. */
export type StatusName =
  | 'CANCELLED'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS';

export interface ErrorDetails {
  /** Which fields of the request were wrong, for `google.rpc.BadRequest`: path as in the proto (`options.name`). */
  fields?: readonly { field: string; problem: string }[];
  /** When to try again, for `google.rpc.RetryInfo`. */
  retryAfterMs?: number;
  /** Further facts, for `google.rpc.ErrorInfo.metadata`. Never secrets. */
  facts?: Readonly<Record<string, string>>;
  cause?: unknown;
}

/** An expected failure. The message says what was wrong and, where there is something to do, what to do. */
export class PinfoldError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'PinfoldError';
    this.code = code;
    this.details = details;
  }
}

export function isPinfoldError(error: unknown, code?: ErrorCode): error is PinfoldError {
  return error instanceof PinfoldError && (code === undefined || error.code === code);
}

/** For `INVALID_ARGUMENT` about one field. */
export function invalidField(field: string, problem: string, code: ErrorCode = 'INVALID_ARGUMENT'): PinfoldError {
  return new PinfoldError(code, `${field}: ${problem}`, { fields: [{ field, problem }] });
}
