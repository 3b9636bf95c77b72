import { create } from '@bufbuild/protobuf';
import {
  SettledForkSchema,
  type TellForkRequest,
  type TellForkResponse,
  TellForkResponseSchema,
} from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { equalBytes } from '../../../model/bytes.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { safeNumber } from '../codec/clock-entries.ts';
import { openBatch, verifyBatch } from '../codec/signed-batch.ts';
import { isForkProof } from '../core/fork-point.ts';
import type { Batch } from '../core/types.ts';
import { headOf } from '../state/fork-book.ts';
import type { CrdtStore } from '../state/store.ts';
import type { Healer } from './healer.ts';
import { linkIn } from './own-branch.ts';

/**
 * N4: another peer says that this one wrote two histories. Two headers with this peer's own signature prove it; then it is looked into,
 * and by the next time it is told this peer answers what it has settled. Throws INVALID_ARGUMENT for what proves nothing.
 */
export function toldOfFork(
  { proof, sequence, hash }: TellForkRequest,
  from: string,
  { store, healer }: { store: CrdtStore; healer: Pick<Healer, 'suspect' | 'isRewriting'> },
): TellForkResponse {
  const headers = proof.slice(0, 2).map((parts) => ownHeader(store, parts));
  const [one, other] = headers;
  if (one === undefined) throw invalid('no header');
  // Whose log was cut above the fork has one header only: whether it is of the branch here is found out by asking for more.
  const isProof = other === undefined || (equalBytes(one.rid, other.rid) && isForkProof(linkIn(one), linkIn(other)));
  if (!isProof) throw invalid('these two are of one history');
  const replica = store.replicas.taken(one.ridText);
  if (replica === undefined) return create(TellForkResponseSchema, {});
  healer.suspect(replica, from);
  const settled = healer.isRewriting ? [] : store.forks.of(replica).filter(({ state }) => state === 'settled');
  const head = headOf({ sequence: safeNumber(sequence), hash });
  return create(TellForkResponseSchema, {
    writtenAgain: settled.some(({ writtenAgain }) => writtenAgain.includes(head)),
    settled: settled.map(({ first, winner }) => create(SettledForkSchema, { first: BigInt(first), winner })),
  });
}

function ownHeader(store: CrdtStore, { header, signature }: Pick<Batch, 'header' | 'signature'>): Batch {
  const batch = openBatch({ header, signature, ops: new Uint8Array(0) });
  if (!equalBytes(batch.head.author, store.author)) throw invalid('a header of another author');
  verifyBatch(batch);
  return batch;
}

function invalid(problem: string): PinfoldError {
  return new PinfoldError('INVALID_ARGUMENT', `proof of a fork: ${problem}`);
}
