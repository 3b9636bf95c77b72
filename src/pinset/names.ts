import { byteString } from '../model/bytes.ts';
import { PinfoldError } from '../model/errors.ts';
import { defaultNamespace } from '../model/pin.ts';
import type { Storage } from '../storage/storage.ts';
import { NAMESPACES_MAX, PEERS_MAX, REPLICAS_MAX } from './constants.ts';
import type { Names, NameTable } from './pinset.ts';
import { namesTable } from './tables.ts';

/** All names in memory, for they are few, and every row that is read or written asks for some. */
export class StoredNames implements Names {
  readonly replicas: StoredNameTable<Uint8Array>;
  readonly peers: StoredNameTable<string>;
  readonly namespaces: StoredNameTable<string>;

  constructor(storage: Storage) {
    const text = { toBytes: (name: string) => Buffer.from(name), fromBytes: (bytes: Uint8Array) => utf8(bytes) };
    const binary = { toBytes: (name: Uint8Array) => name, fromBytes: (bytes: Uint8Array) => bytes };
    this.replicas = new StoredNameTable(storage, { kind: 'replicas', mark: 0x72, max: REPLICAS_MAX, ...binary });
    this.peers = new StoredNameTable(storage, { kind: 'peers', mark: 0x70, max: PEERS_MAX, ...text });
    this.namespaces = new StoredNameTable(storage, { kind: 'namespaces', mark: 0x6e, max: NAMESPACES_MAX, ...text });
    // Number 0 in every store, so that the index keys of most pins can leave it out.
    this.namespaces.preset(defaultNamespace);
  }

  load(): void {
    this.replicas.load();
    this.peers.load();
    this.namespaces.load();
  }
}

interface Kind<T> {
  /** For messages. */
  kind: string;
  /** First byte of the table's keys. */
  mark: number;
  max: number;
  toBytes(name: T): Uint8Array;
  fromBytes(bytes: Uint8Array): T;
}

/** Key: mark of the kind, number (4 bytes, big-endian). Value: the name. */
class StoredNameTable<T extends string | Uint8Array> implements NameTable<T> {
  readonly #storage: Storage;
  readonly #kind: Kind<T>;
  readonly #numbers = new Map<string, number>();
  readonly #names: T[] = [];

  constructor(storage: Storage, kind: Kind<T>) {
    this.#storage = storage;
    this.#kind = kind;
  }

  get size(): number {
    return this.#names.length;
  }

  preset(name: T): void {
    this.#remember(name);
  }

  load(): void {
    const { mark, kind, fromBytes } = this.#kind;
    for (const { key, value } of this.#storage.read.range(namesTable, {
      from: Buffer.of(mark),
      to: Buffer.of(mark + 1),
    })) {
      const number = Buffer.from(key).readUInt32BE(1);
      if (number !== this.#names.length) {
        throw new PinfoldError(
          'DATA_CORRUPT',
          `the number ${this.#names.length} of the ${kind} is missing in ${namesTable}`,
        );
      }
      this.#remember(fromBytes(value));
    }
  }

  ensure(name: T): number {
    const known = this.find(name);
    if (known !== undefined) return known;
    const { kind, mark, max, toBytes } = this.#kind;
    const number = this.#names.length;
    if (number >= max)
      throw new PinfoldError('LIMIT_REACHED', `this peer has met ${max} ${kind}, which is the most it can`);
    const key = Buffer.alloc(5);
    key[0] = mark;
    key.writeUInt32BE(number, 1);
    this.#storage.transaction((tx) => tx.put(namesTable, key, Uint8Array.from(toBytes(name))));
    return this.#remember(typeof name === 'string' ? name : (Uint8Array.from(name) as T));
  }

  find(name: T): number | undefined {
    return this.#numbers.get(mapKey(name));
  }

  name(number: number): T {
    const name = this.#names[number];
    if (name === undefined) throw new Error(`no number ${number} among the ${this.#kind.kind}`);
    return name;
  }

  has(number: number): boolean {
    return number < this.#names.length;
  }

  /** All, in the order of their numbers. */
  all(): readonly T[] {
    return this.#names;
  }

  #remember(name: T): number {
    this.#numbers.set(mapKey(name), this.#names.length);
    return this.#names.push(name) - 1;
  }
}

function mapKey(name: string | Uint8Array): string {
  return typeof name === 'string' ? name : byteString(name);
}

function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}
