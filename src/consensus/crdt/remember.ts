import type { Transaction } from '../../storage/storage.ts';
import type { Batch, Operations } from './core/types.ts';
import { encodeRemembered, putRemembered, type Remembered, readRemembered } from './state/idempotency.ts';
import type { Replica } from './state/replicas.ts';
import type { CrdtStore } from './state/store.ts';

/** A batch that is applied. */
interface Applied {
  readonly batch: Batch;
  readonly replica: Replica;
  readonly content: Operations;
}

/** 6.3: every peer that takes a batch, also into a shadow, knows afterwards what came of the calls and streams in it. */
export function remember(tx: Transaction, applied: Applied, store: CrdtStore, into: 'live' | 'shadow'): void {
  const { content, replica, batch } = applied;
  const common = { replica: replica.number, timeMs: store.needs.clock.nowMs(), request: new Uint8Array(0) };
  for (let i = 0; i < content.operations.length; i++) {
    const key = content.operations[i]?.idempotency;
    if (key === undefined || readRemembered(tx, key) !== undefined) continue;
    putRemembered(tx, key, { ...common, kind: 'call', sequence: batch.head.first + i, decided: 0 }, true);
  }
  for (const { stream, last } of content.runs) {
    // Its author had decided all numbers before this one, and by I3 this peer has taken in all that this rests on.
    const row = { ...common, kind: 'stream', sequence: batch.head.last, decided: last } as const;
    rememberStream(tx, stream, row, store, into);
  }
}

function rememberStream(
  tx: Transaction,
  stream: Uint8Array,
  row: Remembered,
  store: CrdtStore,
  into: 'live' | 'shadow',
) {
  const stored = readRemembered(tx, stream);
  const live = store.live(stored);
  const known = into === 'live' ? live : stored;
  if (known !== undefined && known.decided >= row.decided) return;
  if (into === 'shadow' && live !== undefined)
    putRemembered(tx, stream, { ...row, request: encodeRemembered(live) }, false);
  else if (stored !== undefined && stored !== live && stored.decided > row.decided)
    putRemembered(tx, stream, { ...stored, request: encodeRemembered(row) }, false);
  else putRemembered(tx, stream, row, stored === undefined);
}
