import { hash } from 'node:crypto';
import { byteString } from '../../src/model/bytes.ts';
import type { PinKey } from '../../src/model/pin.ts';
import { bucketOf } from '../../src/model/pin-key.ts';
import { IndexedFields } from '../../src/pinset/codec/pin-value.ts';
import { DigestSums } from '../../src/pinset/digest-sums.ts';
import { Indexer, metadataIndex } from '../../src/pinset/indexer.ts';
import type { PinOrder, PinRow, StoredPin } from '../../src/pinset/pinset.ts';
import { rowHash, shownDot } from '../../src/pinset/row-hash.ts';
import { tableSets } from '../../src/pinset/tables.ts';
import type { PinsetWorld } from './pinset-world.ts';

/** What a pinset should hold, kept in the plainest way. */
export class PinsetModel {
  readonly rows = new Map<string, { key: PinKey; row: PinRow }>();

  set(key: PinKey, row: PinRow): void {
    if (row.length === 0) this.rows.delete(byteString(key));
    else this.rows.set(byteString(key), { key, row });
  }

  copy(): PinsetModel {
    const copy = new PinsetModel();
    for (const [text, entry] of this.rows) copy.rows.set(text, entry);
    return copy;
  }

  get(key: PinKey): PinRow {
    return this.rows.get(byteString(key))?.row ?? [];
  }
}

/** Throws where the live set differs from the model: rows, indexes, digest, lookups. */
export function expectEqual(world: PinsetWorld, model: PinsetModel): void {
  const { pinset } = world;
  equal('count', pinset.count(), model.rows.size);
  const digest = new DigestSums();
  for (const { key, row } of model.rows.values()) {
    digest.add(bucketOf(key), rowHash(pinset.names, key, row));
    const found = pinset.get(key);
    if (found === undefined) throw new Error('a pin is missing');
    const pins = pinset.claims(found.pin.cid).map((pin) => byteString(pin.key));
    if (!pins.includes(byteString(key))) throw new Error('a claim is missing');
  }
  equal('digest', text(pinset.digest.root()), text(digest.root()));
  equal('indexes', indexesOf(world, liveSet(world)), expectedIndexes(world, model));
}

function liveSet(world: PinsetWorld): 'a' | 'b' {
  const state = world.storage.read.get('pinset_state', Buffer.from('sets'));
  return state === undefined ? 'a' : JSON.parse(Buffer.from(state).toString()).live;
}

function indexesOf({ storage }: PinsetWorld, set: 'a' | 'b'): string[] {
  const { byName, byCreated, byExpiry, byMetadata } = tableSets[set];
  return [byName, byCreated, byExpiry, byMetadata].flatMap((table) =>
    [...storage.read.range(table)].map(({ key }) => `${table.slice(0, -1)} ${text(key)}`),
  );
}

function expectedIndexes({ pinset, init }: PinsetWorld, model: PinsetModel): string[] {
  const indexer = new Indexer(pinset.names, (init.indexedMetadata ?? []).map(metadataIndex));
  const fields = new IndexedFields();
  const { byName, byCreated, byExpiry, byMetadata } = tableSets.a;
  const entries = new Map<string, Set<string>>(
    [byName, byCreated, byExpiry, byMetadata].map((table) => [table, new Set()]),
  );
  for (const { key, row } of model.rows.values()) {
    fields.read(shownDot(pinset.names, row)?.value as Uint8Array);
    indexer.entries(tableSets.a, key, indexer.namespaceOf(key), fields, (table, entry) => {
      entries.get(table)?.add(`${table.slice(0, -1)} ${text(entry)}`);
    });
  }
  return [...entries.values()].flatMap((set) => [...set].sort());
}

/** The model's pins in an order, by comparing what the pins say. */
export function sorted(world: PinsetWorld, model: PinsetModel, order: PinOrder): StoredPin[] {
  const pins = [...model.rows.values()].map(({ key }) => world.pinset.get(key) as StoredPin);
  return pins.sort(comparators(world)[order]);
}

function comparators({ pinset }: PinsetWorld): Record<PinOrder, (a: StoredPin, b: StoredPin) => number> {
  const keyHash = (pin: StoredPin) => pin.key.subarray(0, 8);
  const namespace = (pin: StoredPin) => pinset.names.namespaces.find(pin.pin.namespace) as number;
  const byKey = (a: StoredPin, b: StoredPin) => Buffer.compare(a.key, b.key);
  const byCreated = (a: StoredPin, b: StoredPin) =>
    a.pin.createdMs - b.pin.createdMs || Buffer.compare(keyHash(a), keyHash(b)) || namespace(a) - namespace(b);
  const byName = (a: StoredPin, b: StoredPin) => {
    if (a.pin.name === '' || b.pin.name === '')
      return Number(a.pin.name === '') - Number(b.pin.name === '') || byKey(a, b);
    const first = a.pin.namespace < b.pin.namespace ? -1 : Number(a.pin.namespace > b.pin.namespace);
    return (
      first || Buffer.compare(nameOrder(a.pin.name), nameOrder(b.pin.name)) || Buffer.compare(keyHash(a), keyHash(b))
    );
  };
  return { key: byKey, name: byName, created: byCreated, 'created-descending': (a, b) => -byCreated(a, b) };
}

/** Names are ordered by 256 bytes, then by hash. */
function nameOrder(name: string): Uint8Array {
  const bytes = Buffer.from(name);
  if (bytes.length <= 256) return bytes;
  return Buffer.concat([bytes.subarray(0, 256), Buffer.of(0), hash('sha256', bytes, 'buffer')]);
}

export function ids(pins: readonly StoredPin[]): string[] {
  return pins.map(({ key }) => text(key));
}

export function equal(what: string, actual: unknown, expected: unknown): void {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${what}: ${a} is not ${e}`);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
