import { create } from '@bufbuild/protobuf';
import { SignedBatchSchema } from '../../../../gen/pinfold/peer/v1/batch_pb.ts';
import {
  type ListHeadersRequest,
  ListHeadersRequestSchema,
  type ListHeadersResponse,
  ListHeadersResponseSchema,
} from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { byteString, equalBytes } from '../../../model/bytes.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { safeNumber } from '../codec/clock-entries.ts';
import { type BatchParts, openBatch, verifyBatch } from '../codec/signed-batch.ts';
import { HEADERS_PAGE_BYTES, HEADERS_PAGE_MAX, HEADERS_WALKED_MAX } from '../constants.ts';
import { type Branch, type ForkPoint, forkPoint } from '../core/fork-point.ts';
import type { Batch } from '../core/types.ts';
import { batchesBack } from '../log/batches-back.ts';
import { only, type PeerCalls } from '../peer-calls.ts';
import type { CrdtStore } from '../state/store.ts';
import { linkIn } from './own-branch.ts';

/** A page of the flushed log of one replica, newest first. Throws INVALID_ARGUMENT. */
export function listHeaders(store: CrdtStore, request: ListHeadersRequest): ListHeadersResponse {
  const replica = store.replicas.taken(byteString(request.rid));
  const before = safeNumber(request.before);
  const headers: BatchParts[] = [];
  if (replica === undefined) return create(ListHeadersResponseSchema, {});
  let bytes = 0;
  let more = false;
  for (const batch of batchesBack(store, replica, before === 0 ? Number.MAX_SAFE_INTEGER : before - 1)) {
    more = headers.length === HEADERS_PAGE_MAX || bytes >= HEADERS_PAGE_BYTES;
    if (more) break;
    const { header, signature } = batch;
    headers.push({ header, signature, ops: new Uint8Array(0) });
    bytes += header.length;
  }
  return create(ListHeadersResponseSchema, {
    headers: headers.map((parts) => create(SignedBatchSchema, parts)),
    more,
  });
}

/** A fork, and the header of the other branch that shows it. */
export interface FoundFork extends ForkPoint {
  readonly theirs: Batch;
}

/**
 * N4: asks a peer for its headers of a replica, newest first, until one says where its branch and the one here part. Each is signed by
 * its author, so nobody else can make one up. Undefined: as far as its log goes, they do not.
 */
export async function findForkPoint(
  rpc: PeerCalls,
  { peerId, rid, own, signal }: { peerId: string; rid: Uint8Array; own: Branch; signal: AbortSignal },
): Promise<FoundFork | undefined> {
  let before = 0;
  for (let walked = 0; walked < HEADERS_WALKED_MAX; ) {
    const request = create(ListHeadersRequestSchema, { rid, before: BigInt(before) });
    const { headers, more } = await only(rpc.call(peerId, 'listHeaders', [request], { signal }));
    for (const parts of headers) {
      const batch = verifiedHeader(parts, rid);
      if (before > 0 && batch.head.last >= before) throw unordered(peerId);
      const point = forkPoint(own, linkIn(batch));
      if (point === 'same') return undefined;
      if (point !== 'earlier') return { ...point, theirs: batch };
      before = batch.head.first;
    }
    walked += headers.length;
    if (!more || headers.length === 0) return undefined;
  }
  return undefined;
}

/** Throws InvalidBatch. */
function verifiedHeader({ header, signature }: BatchParts, rid: Uint8Array): Batch {
  const batch = openBatch({ header, signature, ops: new Uint8Array(0) });
  if (!equalBytes(batch.rid, rid)) throw new PinfoldError('INVALID_ARGUMENT', 'a header of another replica');
  verifyBatch(batch);
  return batch;
}

function unordered(peerId: string): PinfoldError {
  return new PinfoldError('INVALID_ARGUMENT', `${peerId} lists headers out of order`);
}
