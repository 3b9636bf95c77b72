import type { Clock } from '../runtime/clock.ts';
import { VERSION_RESERVE_MS } from './constants.ts';
import type { MemberTable } from './member-table.ts';

/**
 * Versions of what this peer signs about itself: the wall clock, or the last one + 1, also over restarts and clocks that
 * jump back. A version is given out when a greater one is on the disk.
 */
export class Versions {
  readonly #clock: Clock;
  readonly #table: MemberTable;
  #last = 0;
  #reserved = 0;

  constructor(clock: Clock, table: MemberTable) {
    this.#clock = clock;
    this.#table = table;
    this.#reserved = table.loadVersion();
    this.#last = this.#reserved;
  }

  /** All that come are greater than this one, which was seen elsewhere under this peer's name. */
  exceed(version: number): void {
    this.#last = Math.max(this.#last, version);
  }

  async next(): Promise<number> {
    const version = Math.max(Math.trunc(this.#clock.nowMs()), this.#last + 1);
    this.#last = version;
    if (version > this.#reserved) {
      const reserved = version + VERSION_RESERVE_MS;
      await this.#table.saveVersion(reserved);
      this.#reserved = Math.max(this.#reserved, reserved);
    }
    return version;
  }
}
