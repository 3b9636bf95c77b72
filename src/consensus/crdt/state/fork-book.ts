import { PinfoldError } from '../../../model/errors.ts';
import type { Reader, Transaction } from '../../../storage/storage.ts';
import type { SeenEarly } from '../core/seen-early.ts';
import { forksTable } from '../tables.ts';
import { logKey } from './keys.ts';
import type { Replica, Replicas } from './replicas.ts';

/**
 * What this store knows of a fork (N4).
 *
 *   found      an author wrote two histories; where they part is for it to say
 *   lost       the author has given up the branch that this store took
 *   rewriting  own: the operations of the branch that was given up are being written again
 *   settled    which of two branches goes on; the others are not taken any more
 */
export type ForkState = 'found' | 'lost' | 'rewriting' | 'settled';

export interface Fork {
  readonly state: ForkState;
  /** Sequence with which the branches part; 0 while that is not known. */
  readonly first: number;
  /** Hash of the batch that goes on from there; empty while that is not known. */
  readonly winner: Uint8Array;
  /** For people. */
  readonly reason: string;
  readonly sinceMs: number;
  /** Two signed headers that cannot both be of one history, without operations. */
  readonly proof: readonly Uint8Array[];
  /** While rewriting: the next operation, and the last of the branch. */
  readonly next: number;
  readonly end: number;
  /** Own: what was taken in before the dots that it saw, as the branch that was given up was in their place. */
  readonly seenEarly: readonly SeenEarly[];
  /** Own: what depends on operations of the branch that was given up, until others can take it, or take it as rows. */
  readonly builtOn: readonly BuiltOn[];
  /** Own: the batches that were written again, each as `headOf` names it. */
  readonly writtenAgain: readonly string[];
  /** Another's, lost: its author has written again all that was taken in here up to this operation. */
  readonly saved: number;
}

/** The batch of a replica (local number) that ends with `last` depends on operation `needs` of the forked one. */
export interface BuiltOn {
  readonly replica: number;
  readonly last: number;
  readonly needs: number;
}

/** The end of a batch, in few characters. */
export function headOf({ sequence, hash }: { sequence: number; hash: Uint8Array }): string {
  return `${sequence}:${Buffer.from(hash.subarray(0, 8)).toString('hex')}`;
}

/** The table `crdt_forks`, and what follows of it for the replicas in memory. */
export class ForkBook {
  readonly #forks = new Map<Replica, Map<number, Fork>>();
  readonly #seenEarly = new Map<Replica, Map<string, SeenEarly[]>>();

  load(reader: Reader, replicas: Replicas): void {
    for (const { key, value } of reader.range(forksTable)) {
      const bytes = Buffer.from(key);
      const replica = replicas.byNumber(bytes.readUInt32BE(0));
      if (replica !== undefined) this.#keep(replica, decode(value, Number(bytes.readBigUInt64BE(4))));
    }
  }

  of(replica: Replica): Fork[] {
    return [...(this.#forks.get(replica)?.values() ?? [])];
  }

  all(): { replica: Replica; fork: Fork }[] {
    return [...this.#forks.keys()].flatMap((replica) => this.of(replica).map((fork) => ({ replica, fork })));
  }

  /** Of that operation of the replica there are two, or it stands in one history only. */
  isParted(replica: Replica, sequence: number): boolean {
    for (const { first } of this.#forks.get(replica)?.values() ?? []) if (sequence >= first) return true;
    return false;
  }

  /** Rows stand under dots that C does not cover: nothing of them may be told. */
  get isRewriting(): boolean {
    for (const forks of this.#forks.values())
      for (const { state } of forks.values()) if (state === 'rewriting') return true;
    return false;
  }

  /** What was taken in before that dot of the replica, on that key, and saw it. */
  seenEarly(replica: Replica, sequence: number, keyText: string): readonly SeenEarly[] {
    return this.#seenEarly.get(replica)?.get(`${sequence} ${keyText}`) ?? noneSeen;
  }

  hasSeenEarly(replica: Replica): boolean {
    return this.#seenEarly.has(replica);
  }

  /** Inside a transaction; `kept` follows when it is queued. */
  put(tx: Transaction, replica: Replica, fork: Fork): void {
    tx.put(forksTable, logKey(replica.number, fork.first), encode(fork));
    // Where it parts is known now.
    if (fork.first > 0) tx.remove(forksTable, logKey(replica.number, 0));
  }

  kept(replica: Replica, fork: Fork): void {
    if (fork.first > 0) this.#forks.get(replica)?.delete(0);
    this.#keep(replica, fork);
  }

  #keep(replica: Replica, fork: Fork): void {
    const forks = this.#forks.get(replica) ?? new Map<number, Fork>();
    this.#forks.set(replica, forks.set(fork.first, fork));
    this.#indexSeen(
      replica,
      [...forks.values()].flatMap(({ seenEarly }) => seenEarly),
    );
    replica.isForked = [...forks.values()].some(({ state }) => state === 'found' || state === 'lost');
    replica.settled = new Map(
      [...forks.values()].filter(({ winner }) => winner.length > 0).map(({ first, winner }) => [first, winner]),
    );
  }

  #indexSeen(replica: Replica, seen: readonly SeenEarly[]): void {
    this.#seenEarly.delete(replica);
    if (seen.length === 0) return;
    this.#seenEarly.set(
      replica,
      Map.groupBy(seen, ({ sequence, keyText }) => `${sequence} ${keyText}`),
    );
  }
}

const noneSeen: readonly SeenEarly[] = [];

function encode({
  state,
  winner,
  reason,
  sinceMs,
  proof,
  next,
  end,
  seenEarly,
  builtOn,
  writtenAgain,
  saved,
}: Fork): Uint8Array {
  const row = {
    state,
    winner: Buffer.from(winner).toString('hex'),
    reason,
    sinceMs,
    proof: proof.map((bytes) => Buffer.from(bytes).toString('base64')),
    next,
    end,
    builtOn,
    writtenAgain,
    saved,
    seenEarly: seenEarly.map((seen) => ({ ...seen, keyText: Buffer.from(seen.keyText, 'latin1').toString('base64') })),
  };
  return Buffer.from(JSON.stringify(row));
}

/** Throws DATA_CORRUPT. */
function decode(bytes: Uint8Array, first: number): Fork {
  try {
    const row = JSON.parse(Buffer.from(bytes).toString());
    return {
      ...row,
      first,
      winner: Uint8Array.from(Buffer.from(row.winner, 'hex')),
      proof: row.proof.map((text: string) => Uint8Array.from(Buffer.from(text, 'base64'))),
      seenEarly: row.seenEarly.map((seen: SeenEarly) => ({
        ...seen,
        keyText: Buffer.from(seen.keyText, 'base64').toString('latin1'),
      })),
    };
  } catch (cause) {
    throw new PinfoldError('DATA_CORRUPT', 'a row of the table crdt_forks cannot be read', { cause });
  }
}
