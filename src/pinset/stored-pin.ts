import type { Pin, PinKey } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import { decodePinValue } from './codec/pin-value.ts';
import { Malformed } from './codec/reader.ts';
import type { Names, PinRow, StoredPin } from './pinset.ts';
import { rowEtag, shownDot } from './row-hash.ts';
import { corruptPin } from './rows.ts';

/** The shown pin of a row that is not empty. Decodes on demand: whoever writes in bulk pays for none of it. */
export function storedPin(names: Names, key: PinKey, row: PinRow): StoredPin {
  return new LazyPin(names, key, row);
}

/** The same. Throws DATA_CORRUPT where the pin cannot be read, which is done now and not later. */
export function readable(stored: StoredPin): StoredPin {
  void stored.pin;
  return stored;
}

class LazyPin implements StoredPin {
  readonly key: PinKey;
  readonly #names: Names;
  readonly #row: PinRow;
  #pin: Pin | undefined;
  #etag: Uint8Array | undefined;

  constructor(names: Names, key: PinKey, row: PinRow) {
    this.key = key;
    this.#names = names;
    this.#row = row;
  }

  get pin(): Pin {
    this.#pin ??= decodePin(this.#names, this.key, this.#row);
    return this.#pin;
  }

  get etag(): Uint8Array {
    this.#etag ??= rowEtag(this.#names, this.key, this.#row);
    return this.#etag;
  }
}

function decodePin(names: Names, key: PinKey, row: PinRow): Pin {
  const dot = shownDot(names, row);
  if (dot === undefined) throw new Error('an empty row shows no pin');
  try {
    const allocations = dot.allocations.map((peer) => names.peers.name(peer));
    return { ...decodePinValue(dot.value), ...pinKeyParts(key), allocations };
  } catch (cause) {
    throw cause instanceof Malformed ? corruptPin(key, cause) : cause;
  }
}
