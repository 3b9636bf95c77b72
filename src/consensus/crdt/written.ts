import type { PinKey } from '../../model/pin.ts';
import type { Names, PinRow, StoredPin } from '../../pinset/pinset.ts';
import { storedPin } from '../../pinset/stored-pin.ts';
import type { AckLevel, Outcome, Position } from '../consensus.ts';
import { encodePosition } from './core/position.ts';

const durable: AckLevel = { kind: 'durable' };

/** The outcome of a request that was done: pin and position are made when they are looked at, for bulk streams look at neither. */
export class Written {
  readonly ok = true as const;
  readonly level = durable;
  /** T4. */
  readonly unseenBy: readonly string[];
  readonly #names: Names;
  readonly #replica: number;
  readonly #sequence: number;
  readonly #key: PinKey;
  readonly #row: PinRow | undefined;

  constructor(
    names: Names,
    replica: number,
    sequence: number,
    key: PinKey,
    row: PinRow | undefined,
    unseenBy: readonly string[],
  ) {
    this.#names = names;
    this.#replica = replica;
    this.#sequence = sequence;
    this.#key = key;
    this.#row = row;
    this.unseenBy = unseenBy;
  }

  get pin(): StoredPin | undefined {
    return this.#row === undefined || this.#row.length === 0 ? undefined : storedPin(this.#names, this.#key, this.#row);
  }

  get position(): Position {
    return encodePosition([{ rid: this.#names.replicas.name(this.#replica), sequence: this.#sequence }]);
  }
}

/** That it is one for the compiler. */
export type WrittenIsOutcome = Written extends Outcome ? true : never;
