import type { MessageShape } from '@bufbuild/protobuf';
import { PeerService } from '../../gen/pinfold/peer/v1/service_pb.ts';

type Methods = typeof PeerService.method;

/** The methods of `pinfold.peer.v1.PeerService`, named as in the generated code. */
export type PeerMethod = keyof Methods;

export type PeerRpcRequests = { [M in PeerMethod]: MessageShape<Methods[M]['input']> };
export type PeerRpcResponses = { [M in PeerMethod]: MessageShape<Methods[M]['output']> };

export interface PeerCallContext {
  /** The caller, as its connection proved it. */
  peerId: string;
  /** Aborts when the caller goes away, the deadline passes, or this peer stops. The handler must then end soon. */
  signal: AbortSignal;
}

/**
 * One shape for all kinds of method: requests in, responses out. A unary handler yields exactly one response. A
 * PinfoldError thrown reaches the caller with its code; anything else becomes INTERNAL and is logged.
 * The callee asks the iterator for its next response only when there is room to send it.
 */
export type PeerRpcHandlers = {
  [M in PeerMethod]: (
    requests: AsyncIterable<PeerRpcRequests[M]>,
    context: PeerCallContext,
  ) => AsyncIterable<PeerRpcResponses[M]>;
};

/** Anyone in the private network; peers with a stored record; peers on the trust list. */
export type PeerCaller = 'anyone' | 'member' | 'trusted';

export interface PeerMethodRow<M extends PeerMethod = PeerMethod> {
  caller: PeerCaller;
  kind: Methods[M]['methodKind'];
  /** Of the whole call, on both sides. Undefined: the call may live for ever, held by the rules of silence. */
  deadlineMs: number | undefined;
  /** Calls served at once, for one caller and for all. At the limit: LIMIT_REACHED. */
  concurrentPerPeerMax: number;
  concurrentMax: number;
  /** Calls that one caller begins: so many at once, then one each so many ms. Over it: LIMIT_REACHED, a while later. */
  burst: number;
  everyMs: number;
  /** Calls made at once, to all peers. At the limit: LIMIT_REACHED, before anything is sent. */
  askedMax: number;
  requestBytesMax: number;
  responseBytesMax: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** What peers may ask of each other. A method without a row does not compile. */
export const peerMethods: { readonly [M in PeerMethod]: Readonly<PeerMethodRow<M>> } = {
  // A Hello carries the record and the metrics of every member.
  hello: {
    caller: 'anyone',
    kind: 'unary',
    deadlineMs: 10_000,
    concurrentPerPeerMax: 4,
    concurrentMax: 64,
    burst: 32,
    everyMs: 100,
    askedMax: 64,
    requestBytesMax: 4 * MIB,
    responseBytesMax: 4 * MIB,
  },
  // 4,096 clock entries of some 60 bytes.
  getClock: {
    caller: 'member',
    kind: 'unary',
    deadlineMs: 10_000,
    concurrentPerPeerMax: 4,
    concurrentMax: 64,
    burst: 32,
    everyMs: 100,
    askedMax: 64,
    requestBytesMax: MIB,
    responseBytesMax: MIB,
  },
  // One at a time from each peer, many batches in one (R7).
  acknowledge: {
    caller: 'trusted',
    kind: 'unary',
    deadlineMs: 10_000,
    concurrentPerPeerMax: 4,
    concurrentMax: 256,
    burst: 256,
    everyMs: 5,
    askedMax: 256,
    requestBytesMax: MIB,
    responseBytesMax: KIB,
  },
  // A batch has at most 1 MiB, and a head. Two pulls and three followed peers (S1, S5).
  sync: {
    caller: 'member',
    kind: 'server_streaming',
    deadlineMs: undefined,
    concurrentPerPeerMax: 4,
    concurrentMax: 40,
    burst: 64,
    everyMs: 100,
    askedMax: 5,
    requestBytesMax: MIB,
    responseBytesMax: 2 * MIB,
  },
  // The callee ends an answer after 30 s, and gives up the caller's snapshot after 60 s (B1).
  mergeRange: {
    caller: 'member',
    kind: 'server_streaming',
    deadlineMs: 90_000,
    concurrentPerPeerMax: 1,
    concurrentMax: 2,
    burst: 64,
    everyMs: 50,
    askedMax: 1,
    requestBytesMax: 256 * KIB,
    responseBytesMax: 2 * MIB,
  },
  // A page has at most 256 headers and about 512 KiB; one header may have 128 KiB.
  listHeaders: {
    caller: 'member',
    kind: 'unary',
    deadlineMs: 10_000,
    concurrentPerPeerMax: 2,
    concurrentMax: 16,
    burst: 64,
    everyMs: 50,
    askedMax: 16,
    requestBytesMax: 16 * KIB,
    responseBytesMax: MIB,
  },
  // Two headers.
  tellFork: {
    caller: 'member',
    kind: 'unary',
    deadlineMs: 10_000,
    concurrentPerPeerMax: 2,
    concurrentMax: 16,
    burst: 16,
    everyMs: 500,
    askedMax: 64,
    requestBytesMax: 512 * KIB,
    responseBytesMax: 64 * KIB,
  },
  // A call carries about 1 MiB, or one batch.
  offerBatches: {
    caller: 'trusted',
    kind: 'unary',
    deadlineMs: 30_000,
    concurrentPerPeerMax: 2,
    concurrentMax: 4,
    burst: 64,
    everyMs: 20,
    askedMax: 4,
    requestBytesMax: 3 * MIB,
    responseBytesMax: MIB,
  },
  // 1 MiB of digests in messages of 64 KiB; the head has a clock and up to 65,536 buckets.
  getDigests: {
    caller: 'trusted',
    kind: 'server_streaming',
    deadlineMs: 60_000,
    concurrentPerPeerMax: 1,
    concurrentMax: 4,
    burst: 8,
    everyMs: 2_000,
    askedMax: 4,
    requestBytesMax: MIB,
    responseBytesMax: MIB,
  },
  // An answer ends after 4 MiB of rows. One for the plan, one for the callee's own part in a repair.
  getBuckets: {
    caller: 'trusted',
    kind: 'server_streaming',
    deadlineMs: 60_000,
    concurrentPerPeerMax: 2,
    concurrentMax: 4,
    burst: 128,
    everyMs: 10,
    askedMax: 4,
    requestBytesMax: MIB,
    responseBytesMax: 2 * MIB,
  },
  // The callee asks the caller for its rows before it answers.
  repairBuckets: {
    caller: 'trusted',
    kind: 'unary',
    deadlineMs: 120_000,
    concurrentPerPeerMax: 1,
    concurrentMax: 2,
    burst: 128,
    everyMs: 20,
    askedMax: 2,
    requestBytesMax: KIB,
    responseBytesMax: KIB,
  },
  // 1,000 CIDs; rows with their error texts.
  getStatuses: {
    caller: 'member',
    kind: 'unary',
    deadlineMs: 10_000,
    concurrentPerPeerMax: 64,
    concurrentMax: 256,
    burst: 1_024,
    everyMs: 1,
    askedMax: 1_024,
    requestBytesMax: 256 * KIB,
    responseBytesMax: 2 * MIB,
  },
  listStatuses: {
    caller: 'member',
    kind: 'server_streaming',
    deadlineMs: undefined,
    concurrentPerPeerMax: 16,
    concurrentMax: 64,
    burst: 256,
    everyMs: 5,
    askedMax: 556,
    requestBytesMax: 16 * KIB,
    responseBytesMax: 2 * MIB,
  },
  watchStatus: {
    caller: 'member',
    kind: 'server_streaming',
    deadlineMs: undefined,
    concurrentPerPeerMax: 16,
    concurrentMax: 256,
    burst: 256,
    everyMs: 10,
    askedMax: 1_024,
    requestBytesMax: 16 * KIB,
    responseBytesMax: 2 * MIB,
  },
  recover: {
    caller: 'trusted',
    kind: 'server_streaming',
    deadlineMs: undefined,
    concurrentPerPeerMax: 4,
    concurrentMax: 16,
    burst: 64,
    everyMs: 50,
    askedMax: 64,
    requestBytesMax: 2 * MIB,
    responseBytesMax: 2 * MIB,
  },
  // One wish: for a person who asks why.
  explainWish: {
    caller: 'member',
    kind: 'unary',
    deadlineMs: 10_000,
    concurrentPerPeerMax: 4,
    concurrentMax: 64,
    burst: 64,
    everyMs: 50,
    askedMax: 256,
    requestBytesMax: KIB,
    responseBytesMax: 16 * KIB,
  },
  // Some 60 bytes a connection.
  getConnections: {
    caller: 'member',
    kind: 'unary',
    deadlineMs: 10_000,
    concurrentPerPeerMax: 4,
    concurrentMax: 64,
    burst: 16,
    everyMs: 100,
    askedMax: 256,
    requestBytesMax: KIB,
    responseBytesMax: MIB,
  },
  // Once a minute (T5). A trust list of 1,000 peers has 40 KB.
  reportUntrusted: {
    caller: 'member',
    kind: 'unary',
    deadlineMs: 10_000,
    concurrentPerPeerMax: 1,
    concurrentMax: 64,
    burst: 16,
    everyMs: 1_000,
    askedMax: 64,
    requestBytesMax: 64 * KIB,
    responseBytesMax: KIB,
  },
  // By hand.
  setDraining: {
    caller: 'trusted',
    kind: 'unary',
    deadlineMs: 10_000,
    concurrentPerPeerMax: 2,
    concurrentMax: 16,
    burst: 16,
    everyMs: 500,
    askedMax: 16,
    requestBytesMax: KIB,
    responseBytesMax: KIB,
  },
  // By hand; a node has one collection at a time. A message has up to 1,000 CIDs.
  collectGarbage: {
    caller: 'trusted',
    kind: 'server_streaming',
    deadlineMs: undefined,
    concurrentPerPeerMax: 2,
    concurrentMax: 4,
    burst: 16,
    everyMs: 500,
    askedMax: 64,
    requestBytesMax: KIB,
    responseBytesMax: MIB,
  },
  // An add each. A message has one block of up to 4 MiB, or smaller ones of 1 MiB together.
  putBlocks: {
    caller: 'trusted',
    kind: 'bidi_streaming',
    deadlineMs: undefined,
    concurrentPerPeerMax: 32,
    concurrentMax: 64,
    burst: 64,
    everyMs: 20,
    askedMax: 256,
    requestBytesMax: 5 * MIB,
    responseBytesMax: 64 * KIB,
  },
  // An export each. A message has one block.
  getBlocks: {
    caller: 'member',
    kind: 'bidi_streaming',
    deadlineMs: undefined,
    concurrentPerPeerMax: 32,
    concurrentMax: 64,
    burst: 64,
    everyMs: 20,
    askedMax: 256,
    requestBytesMax: 64 * KIB,
    responseBytesMax: 5 * MIB,
  },
};

const methodsByName: ReadonlyMap<string, PeerMethod> = new Map(
  (Object.keys(peerMethods) as PeerMethod[]).map((method) => [PeerService.method[method].name, method]),
);

/** The method's name on the wire, as in the proto. */
export function peerMethodName(method: PeerMethod): string {
  return PeerService.method[method].name;
}

/** Undefined for a name that this version does not know. */
export function peerMethodOf(name: string): PeerMethod | undefined {
  return methodsByName.get(name);
}

/** Who is what, asked before a handler runs. Known by the cluster and its trust list. */
export interface PeerPolicy {
  isMember(peerId: string): boolean;
  isTrusted(peerId: string): boolean;
}
