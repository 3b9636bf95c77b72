import { equalBytes } from '../model/bytes.ts';
import type { PinKey } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import type { IndexedFields } from './codec/pin-value.ts';
import type { PinFilter } from './pinset.ts';

/** Whether a pin is meant by a filter; reads no more of a value than it must. */
export class PinMatch {
  readonly #namespaces: ReadonlySet<string> | undefined;
  readonly #nameEquals: Uint8Array | undefined;
  readonly #namePrefix: Uint8Array | undefined;
  readonly #metadata: readonly { key: Uint8Array; value: Uint8Array }[];
  readonly #createdAfterMs: number;
  readonly #createdBeforeMs: number;
  readonly #unnamedOnly: boolean;

  constructor(filter: PinFilter, unnamedOnly = false) {
    this.#namespaces = filter.namespaces && new Set(filter.namespaces);
    this.#nameEquals = filter.nameEquals === undefined ? undefined : Buffer.from(filter.nameEquals);
    this.#namePrefix = filter.namePrefix === undefined ? undefined : Buffer.from(filter.namePrefix);
    this.#metadata = (filter.metadata ?? []).map(([key, value]) => ({
      key: Buffer.from(key),
      value: Buffer.from(value),
    }));
    this.#createdAfterMs = filter.createdAfterMs ?? Number.NEGATIVE_INFINITY;
    this.#createdBeforeMs = filter.createdBeforeMs ?? Number.POSITIVE_INFINITY;
    this.#unnamedOnly = unnamedOnly;
  }

  matches(key: PinKey, fields: IndexedFields): boolean {
    if (this.#namespaces !== undefined && !this.#namespaces.has(pinKeyParts(key).namespace)) return false;
    if (this.#unnamedOnly && fields.nameEnd > fields.nameAt) return false;
    if (fields.createdMs <= this.#createdAfterMs || fields.createdMs >= this.#createdBeforeMs) return false;
    return this.#matchesName(fields) && this.#metadata.every((pair) => hasPair(fields, pair));
  }

  #matchesName({ bytes, nameAt, nameEnd }: IndexedFields): boolean {
    if (this.#nameEquals !== undefined && !equalBytes(this.#nameEquals, bytes.subarray(nameAt, nameEnd))) return false;
    const prefix = this.#namePrefix;
    if (prefix === undefined) return true;
    return equalBytes(prefix, bytes.subarray(nameAt, Math.min(nameAt + prefix.length, nameEnd)));
  }
}

function hasPair({ bytes, metadata }: IndexedFields, { key, value }: { key: Uint8Array; value: Uint8Array }): boolean {
  for (let i = 0; i < metadata.length; i += 4) {
    const sameKey = equalBytes(key, bytes.subarray(metadata[i], metadata[i + 1]));
    if (sameKey && equalBytes(value, bytes.subarray(metadata[i + 2], metadata[i + 3]))) return true;
  }
  return false;
}
