import { byteString, equalBytes } from '../../../model/bytes.ts';
import { formatPeerId } from '../../../model/peer-id.ts';
import { sleep, type Timers } from '../../../runtime/clock.ts';
import { decodeHeader } from '../codec/header.ts';
import { decodeOperations } from '../codec/operations.ts';
import { decodeSignedBatch } from '../codec/signed-batch.ts';
import { FORK_SCAN_BATCHES } from '../constants.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import type { SeenEarly } from '../core/seen-early.ts';
import { AMEND, type Operations } from '../core/types.ts';
import type { BuiltOn } from '../state/fork-book.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import { logTable } from '../tables.ts';

/** What of the log rests on a branch that is given up. */
export interface Resting {
  readonly seenEarly: readonly SeenEarly[];
  readonly builtOn: readonly BuiltOn[];
}

/**
 * N4: what the log has of operations that saw a dot of `replica` above `common`, and of batches that depend on one. Read once, in slices,
 * while nothing is taken in. What was cut from the log, or is damaged there, is not found: then digests differ, and the operator hears of
 * it (DIVERGED).
 */
export async function findResting(
  { store, timers }: { store: CrdtStore; timers: Timers },
  replica: Replica,
  common: number,
  signal: AbortSignal,
): Promise<Resting> {
  const seenEarly: SeenEarly[] = [];
  const builtOn: BuiltOn[] = [];
  let from: Uint8Array | undefined = Uint8Array.of(0);
  while (from !== undefined) {
    const range = { from, limit: FORK_SCAN_BATCHES };
    let read = 0;
    for (const { key, value } of store.needs.storage.read.range(logTable, range)) {
      read++;
      from = Buffer.concat([key, Uint8Array.of(0)]);
      const author = Buffer.from(key).readUInt32BE(0);
      if (author === replica.number) continue;
      try {
        const { header, ops } = decodeSignedBatch(value);
        seenEarly.push(...seenIn(store, author, ops, replica, common));
        const { inc, last } = decodeHeader(header);
        const needs = inc.find(({ rid }) => equalBytes(rid, replica.rid))?.sequence ?? 0;
        if (needs > common) builtOn.push({ replica: author, last, needs });
      } catch (problem) {
        if (!(problem instanceof InvalidBatch)) throw problem;
      }
    }
    if (read < FORK_SCAN_BATCHES) from = undefined;
    await sleep(timers, 0, signal); // Others get their turn.
  }
  return { seenEarly, builtOn };
}

function seenIn(store: CrdtStore, author: number, ops: Uint8Array, replica: Replica, common: number): SeenEarly[] {
  const content = decodeOperations(ops);
  const position = content.rids.findIndex((rid) => equalBytes(rid, replica.rid));
  if (position < 0) return [];
  const found: SeenEarly[] = [];
  for (const operation of content.operations) {
    for (let i = 0; i < operation.sees.length; i += 2) {
      const sequence = operation.sees[i + 1] as number;
      if (operation.sees[i] !== position || sequence <= common) continue;
      const placement = operation.kind === AMEND ? placed(store, author, operation, content) : undefined;
      found.push({ sequence, keyText: byteString(operation.key), placement });
    }
  }
  return found;
}

function placed(
  store: CrdtStore,
  author: number,
  { stamp, allocations }: Operations['operations'][number],
  { peers }: Operations,
) {
  const names = store.needs.pinset.names.peers;
  return {
    placementStamp: stamp,
    placementReplica: author,
    allocations: allocations.map((n) => names.find(formatPeerId(peers[n] as Uint8Array)) ?? -1),
  };
}
