import { decodePinValue } from '../../../src/pinset/codec/pin-value.ts';
import { Violation } from '../world/violation.ts';
import type { BatchRecord, OperationRecord } from './batch-record.ts';
import { short } from './hex.ts';

/**
 * Nothing is removed that nobody had removed, but what has expired (5.3): of the operations that remove a key's dots, those that
 * see one which has not expired are no more than the removals that users have asked for.
 */
export class Removals {
  /** Pin key -> removals that clients have sent. */
  readonly #asked = new Map<string, number>();
  readonly #done = new Map<string, number>();
  /** Of each dot of a key when it expires; more than one, where its author wrote it twice (N4). */
  readonly #expiries = new Map<string, number[]>();

  asked(key: string): void {
    this.#asked.set(key, (this.#asked.get(key) ?? 0) + 1);
  }

  /** Of a key whose row is damaged somewhere nobody knows any more when it expires. */
  damaged(key: string): void {
    this.#asked.set(key, Number.POSITIVE_INFINITY);
  }

  /** `isAgain`: what was written before is written again by another replica (N4). */
  learn(batch: BatchRecord, isAgain: boolean): void {
    for (const operation of batch.operations) {
      if (operation.kind === 'pin') this.#pin(operation);
    }
    if (isAgain) return;
    for (const operation of batch.operations) if (operation.kind === 'unpin') this.#removal(batch, operation);
  }

  #pin({ key, dot, bytes }: OperationRecord): void {
    const times = this.#expiries.get(`${key} ${dot}`) ?? [];
    this.#expiries.set(`${key} ${dot}`, [...times, decodePinValue(bytes).expiresMs]);
  }

  #removal(batch: BatchRecord, { key, sees, stamp }: OperationRecord): void {
    const stampMs = Math.ceil(stamp / 1024);
    const isExpiry = sees.every((dot) => {
      const times = this.#expiries.get(`${key} ${dot}`) ?? [];
      return times.some((expiresMs) => expiresMs > 0 && expiresMs <= stampMs);
    });
    if (isExpiry) return;
    const done = (this.#done.get(key) ?? 0) + 1;
    this.#done.set(key, done);
    const asked = this.#asked.get(key) ?? 0;
    if (done <= asked) return;
    throw new Violation(
      'I10',
      `${short(batch.rid)} ${batch.first}-${batch.last} removes ${key.slice(0, 8)} for the ${done}th time, users asked for ${asked}; it sees ${sees.join(', ')}`,
    );
  }
}
