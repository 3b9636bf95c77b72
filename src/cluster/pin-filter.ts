import { byteString } from '../model/bytes.ts';
import type { Pin } from '../model/pin.ts';
import type { PinFilter } from '../pinset/pinset.ts';

/** A filter on pins in hand: the same meaning as in `Pinset.list`. */
export class PinSelection {
  readonly #filter: PinFilter;
  readonly #namespaces: ReadonlySet<string> | undefined;
  readonly #cids: ReadonlySet<string> | undefined;

  constructor(filter: PinFilter) {
    this.#filter = filter;
    this.#namespaces = filter.namespaces && new Set(filter.namespaces);
    this.#cids = filter.cids && new Set(filter.cids.map(byteString));
  }

  matches(pin: Pin): boolean {
    const { nameEquals, namePrefix, metadata, createdAfterMs, createdBeforeMs } = this.#filter;
    return (
      this.matchesKey(pin.cid, pin.namespace) &&
      (nameEquals === undefined || pin.name === nameEquals) &&
      (namePrefix === undefined || pin.name.startsWith(namePrefix)) &&
      (createdAfterMs === undefined || pin.createdMs > createdAfterMs) &&
      (createdBeforeMs === undefined || pin.createdMs < createdBeforeMs) &&
      (metadata ?? []).every(([key, value]) => pin.metadata.some(([k, v]) => k === key && v === value))
    );
  }

  /** All that can be told of a pin that is gone. */
  matchesKey(cid: Uint8Array, namespace: string): boolean {
    return (
      (this.#namespaces === undefined || this.#namespaces.has(namespace)) &&
      (this.#cids === undefined || this.#cids.has(byteString(cid)))
    );
  }

  /** Whether it says nothing but, maybe, which CIDs. */
  get isBare(): boolean {
    return Object.entries(this.#filter).every(([key, value]) => key === 'cids' || value === undefined);
  }
}
