import { PinfoldError } from '../model/errors.ts';
import type { Reader, Transaction } from '../storage/storage.ts';
import { FORMAT_VERSION } from './constants.ts';
import type { Shadow } from './pinset.ts';
import { type SetName, stateTable, type TableSet, tableSets } from './tables.ts';
import type { Unsettled } from './unsettled.ts';

/** What the two table sets are for at the moment. */
export interface SetsState {
  /** Grows with each change, to tell whether a change was queued. */
  readonly step: number;
  readonly live: SetName;
  /** Metadata keys whose index in the live set is complete. */
  readonly metadata: readonly string[];
  /** Metadata keys whose index in the live set is to be emptied. */
  readonly droppedMetadata: readonly string[];
  /** Metadata keys whose index in the live set is being built, and the pin key (hex) up to which it is. */
  readonly building: { readonly keys: readonly string[]; readonly to: string } | undefined;
  readonly shadow: Shadow['state'];
  readonly nextBucket: number;
  /** Pin key (hex) up to which the indexes of the shadow are built; '' at first. */
  readonly indexedTo: string;
  /** Metadata keys that the indexes of the shadow have. */
  readonly shadowMetadata: readonly string[];
}

const initial: SetsState = {
  step: 0,
  live: 'a',
  metadata: [],
  droppedMetadata: [],
  building: undefined,
  shadow: 'none',
  nextBucket: 0,
  indexedTo: '',
  shadowMetadata: [],
};

const setsKey = Buffer.from('sets');
const formatKey = Buffer.from('format');
const checkpointKey = Buffer.from('checkpoint');

/** The state of the table sets in memory, and its row. */
export class Sets {
  readonly #unsettled: Unsettled;
  #state: SetsState = initial;

  constructor(unsettled: Unsettled) {
    this.#unsettled = unsettled;
  }

  get state(): SetsState {
    return this.#state;
  }

  get live(): TableSet {
    return tableSets[this.#state.live];
  }

  get shadow(): TableSet {
    return tableSets[this.#state.live === 'a' ? 'b' : 'a'];
  }

  load(reader: Reader): void {
    this.#state = setsIn(reader);
  }

  /** To be called before the state is looked at in a transaction: the one before may have been given up. */
  check(tx: Transaction): void {
    this.#unsettled.check(tx);
  }

  /** Changes the state in a transaction; `undo` is called, too, if that is not queued after all. */
  change(tx: Transaction, change: Partial<SetsState>, undo: () => void = () => {}): void {
    this.#unsettled.check(tx);
    const before = this.#state;
    const next = { ...before, ...change, step: before.step + 1 };
    tx.put(stateTable, setsKey, json(next));
    this.#state = next;
    this.#unsettled.add({
      isQueued: (later) => (parsed<SetsState>(later.get(stateTable, setsKey))?.step ?? 0) >= next.step,
      undo: () => {
        this.#state = before;
        undo();
      },
    });
  }
}

/** The state of the table sets in some snapshot. */
export function setsIn(reader: Reader): SetsState {
  return parsed<SetsState>(reader.get(stateTable, setsKey)) ?? initial;
}

/** Throws DATA_CORRUPT when the tables are of a format that this version cannot read. False: the store is new. */
export function checkFormat(reader: Reader): boolean {
  const format = parsed<{ version: number }>(reader.get(stateTable, formatKey));
  if (format === undefined) return false;
  if (format.version === FORMAT_VERSION) return true;
  throw new PinfoldError(
    'CONFIG_INVALID',
    `the pinset on this disk has format ${format.version}, this version of Pinfold knows ${FORMAT_VERSION}: ` +
      'run the version that wrote it or a newer one, or let this peer join again with an empty folder',
    { facts: { format: String(format.version), known: String(FORMAT_VERSION) } },
  );
}

export function putFormat(tx: Transaction): void {
  tx.put(stateTable, formatKey, json({ version: FORMAT_VERSION }));
}

/** Revision that the digest on the disk is true for. */
export function checkpointIn(reader: Reader): number {
  return parsed<{ revision: number }>(reader.get(stateTable, checkpointKey))?.revision ?? 0;
}

export function putCheckpoint(tx: Transaction, revision: number): void {
  tx.put(stateTable, checkpointKey, json({ revision }));
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function parsed<T>(bytes: Uint8Array | undefined): T | undefined {
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes).toString()) as T;
  } catch (cause) {
    throw new PinfoldError(
      'DATA_CORRUPT',
      `a row of ${stateTable} is damaged; let this peer join again with an empty folder`,
      {
        cause,
      },
    );
  }
}
