import { hash } from 'node:crypto';
import { decodeHeader } from '../codec/header.ts';
import { decodeSignedBatch } from '../codec/signed-batch.ts';
import type { Branch, Link } from '../core/fork-point.ts';
import type { Batch } from '../core/types.ts';
import { logKey } from '../state/keys.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import { logTable } from '../tables.ts';

/** The branch of a replica that this store holds, as far back as its log reaches. */
export function ownBranch(store: CrdtStore, replica: Replica): Branch {
  const { read } = store.needs.storage;
  return {
    endingAt(sequence) {
      const kept = sequence > replica.sequence ? undefined : read.get(logTable, logKey(replica.number, sequence));
      return kept === undefined ? undefined : linkOf(kept);
    },
    containing(sequence) {
      if (sequence > replica.sequence) return undefined;
      const range = { from: logKey(replica.number, sequence), to: logKey(replica.number + 1, 0), limit: 1 };
      for (const { value } of read.range(logTable, range)) return linkOf(value);
      return undefined;
    },
  };
}

/** What the header of a batch says of its place. */
export function linkIn({ head: { first, last, prev }, hash }: Pick<Batch, 'head' | 'hash'>): Link {
  return { first, last, prev, hash };
}

function linkOf(kept: Uint8Array): Link {
  const { header } = decodeSignedBatch(kept);
  return linkIn({ head: decodeHeader(header), hash: hash('sha256', header, 'buffer') });
}
