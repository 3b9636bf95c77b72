import { parsePeerId } from '../../../model/peer-id.ts';
import type { Transaction } from '../../../storage/storage.ts';
import { BATCH_BYTES_MAX } from '../constants.ts';
import { OperationWriter } from '../core/operation-writer.ts';
import { rewrite } from '../core/rewrite.ts';
import { TransactionRows } from '../core/rows.ts';
import type { StreamRun } from '../core/types.ts';
import { keptBatch } from '../log/kept-batch.ts';
import { type LocalBatch, localBatch, localOperation } from '../log/local-batch.ts';
import { type SealedBatch, sealBatch } from '../sealed-batch.ts';
import type { Fork } from '../state/fork-book.ts';
import { putRemembered, readRemembered } from '../state/idempotency.ts';
import { logKey } from '../state/keys.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import { logTable } from '../tables.ts';

export interface RewriterNeeds {
  store: CrdtStore;
  signer: { sign(bytes: Uint8Array): Uint8Array };
}

/** What one transaction wrote again, and the fork as it stands then. */
interface Piece {
  readonly sealed: SealedBatch | undefined;
  readonly fork: Fork;
}

interface Writing {
  readonly replica: Replica;
  readonly fork: Fork;
  readonly given: LocalBatch;
  readonly writer: OperationWriter;
  readonly rows: TransactionRows;
}

/** More than an encoded run has. */
const runBytes = 64;

/**
 * N4: writes the operations of a branch that was given up again, as the current replica, a batch a transaction. Each such transaction
 * holds the new batch, the rows under their new names, what is remembered of idempotency keys, and how far it has come: so a
 * crash between two of them goes on where it was, and none of it is done twice.
 */
export class Rewriter {
  readonly #needs: RewriterNeeds;

  constructor(needs: RewriterNeeds) {
    this.#needs = needs;
  }

  /** The next batch of `fork`, flushed when it resolves. */
  async step(replica: Replica, fork: Fork): Promise<Piece> {
    const { store } = this.#needs;
    const given = this.#given(replica, fork.next);
    const commit = store.needs.storage.transaction((tx) => this.#write(tx, replica, fork, given));
    const piece = commit.value;
    const { sealed } = piece;
    store.forks.kept(replica, piece.fork);
    if (sealed !== undefined) for (const each of store.replicas.sorted()) store.incBase.set(each, each.sequence);
    await store.queued(commit, sealed === undefined ? [] : [sealed.step], sealed !== undefined);
    return piece;
  }

  /** Throws LogDamaged. */
  #given(replica: Replica, next: number): LocalBatch {
    const { storage, pinset } = this.#needs.store.needs;
    return localBatch(keptBatch(storage.read, replica, next), pinset.names);
  }

  #write(tx: Transaction, replica: Replica, fork: Fork, given: LocalBatch): Piece {
    const { store, signer } = this.#needs;
    const { names } = store.needs.pinset;
    const writer = new OperationWriter({
      rid: (number) => names.replicas.name(number),
      peer: (number) => parsePeerId(names.peers.name(number)),
    });
    const writing = { replica, fork, given, writer, rows: new TransactionRows() };
    const { next, written } = this.#operations(tx, writing);
    const isWhole = next > given.head.last;
    const built = { last: store.own.sequence + written.length, lastStamp: store.self.lastStamp };
    if (isWhole && written.length > 0) this.#runs(tx, writing, written, built.last);
    const take = () => writer.take();
    const sealed = written.length === 0 ? undefined : sealBatch(tx, store, signer, { ...built, take }, writing.rows);
    const moved: Fork = next > fork.end ? { ...fork, state: 'settled', next: 0, end: 0 } : { ...fork, next };
    store.forks.put(tx, replica, moved);
    if (isWhole) tx.remove(logTable, logKey(replica.number, given.head.last));
    return { sealed, fork: moved };
  }

  /** As many as a batch holds. `written`: where each that was stood in the old batch. */
  #operations(tx: Transaction, { replica, fork, given, writer, rows }: Writing): { next: number; written: number[] } {
    const { store } = this.#needs;
    const names = { from: replica.number, common: fork.first - 1, to: store.own.number };
    const written: number[] = [];
    for (let sequence = fork.next; sequence <= given.head.last; sequence++) {
      const position = sequence - given.head.first;
      const old = localOperation(given, position);
      const entry = rows.entry(old.key, (key) => store.needs.pinset.row(tx, key));
      const newSequence = store.own.sequence + written.length + 1;
      const { operation, row } = rewrite(old, sequence, entry.after, names, newSequence);
      if (operation !== undefined) {
        const { mark } = writer;
        writer.operation(operation);
        if (writer.bytes > BATCH_BYTES_MAX && written.length > 0) {
          writer.rollback(mark);
          return { next: sequence, written };
        }
        written.push(position);
        this.#remember(tx, old.idempotency, { replica, sequence, newSequence });
      }
      entry.after = row;
    }
    return { next: given.head.last + 1, written };
  }

  /** 6.3: what a call is answered with when it comes again. */
  #remember(
    tx: Transaction,
    key: Uint8Array | undefined,
    { replica, sequence, newSequence }: { replica: Replica; sequence: number; newSequence: number },
  ): void {
    const known = key === undefined ? undefined : readRemembered(tx, key);
    if (key === undefined || known?.replica !== replica.number || known.sequence < sequence) return;
    const moved = newSequence + known.sequence - sequence;
    putRemembered(tx, key, { ...known, replica: this.#needs.store.own.number, sequence: moved }, false);
  }

  /** Which streams are decided so far: told with the last operations of the old batch, as far as there is room. */
  #runs(tx: Transaction, { replica, given, writer }: Writing, written: readonly number[], last: number): void {
    const { own } = this.#needs.store;
    for (const run of given.content.runs) {
      if (writer.bytes + runBytes <= BATCH_BYTES_MAX) writer.copyRun(movedRun(run, written));
      const known = readRemembered(tx, run.stream);
      if (known?.replica !== replica.number) continue;
      putRemembered(tx, run.stream, { ...known, replica: own.number, sequence: last }, false);
    }
  }
}

function movedRun(run: StreamRun, written: readonly number[]): StreamRun {
  const at = written.findIndex((position) => position >= run.position);
  return { ...run, position: at < 0 ? written.length - 1 : at };
}
