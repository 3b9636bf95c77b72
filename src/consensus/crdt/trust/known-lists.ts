import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type TrustList as TrustListMessage, TrustListSchema } from '../../../../gen/pinfold/peer/v1/trust_pb.ts';
import { byteString, equalBytes } from '../../../model/bytes.ts';
import type { Storage } from '../../../storage/storage.ts';
import { TRUST_LISTS_BYTES_MAX } from '../constants.ts';
import { trustListsTable } from '../tables.ts';
import { readTrustList, type TrustList, trustsAll } from './trust-list.ts';

/**
 * The trust lists that the members' records name, by hash, also on the disk: so a peer that starts knows at once who takes
 * its writes. Losing them does no harm, for they come again with the next Hello.
 */
export class KnownLists {
  readonly #storage: Pick<Storage, 'read' | 'transaction'>;
  readonly #lists = new Map<string, { list: TrustList; bytes: number }>();
  #bytes = 0;

  constructor(storage: Pick<Storage, 'read' | 'transaction'>) {
    this.#storage = storage;
    for (const { key, value } of storage.read.range(trustListsTable)) {
      const list = decoded(value);
      if (list !== undefined && equalBytes(list.hash, key)) this.#put(list, value.length);
    }
  }

  get(hash: Uint8Array): TrustList | undefined {
    return hash.length === 0 ? trustsAll : this.#lists.get(byteString(hash))?.list;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps of these what a member's record names and was not known; whether there was any. `named`: all that records name. */
  add(messages: readonly TrustListMessage[], named: ReadonlySet<string>): boolean {
    const fresh = messages.flatMap((message) => this.#fresh(message, named) ?? []);
    if (fresh.length === 0) return false;
    const dropped = [...this.#lists].filter(([key]) => !named.has(key));
    for (const [key, { bytes }] of dropped) {
      this.#lists.delete(key);
      this.#bytes -= bytes;
    }
    const kept = fresh.filter(({ list, value }) => this.#put(list, value.length));
    this.#storage
      .transaction((tx) => {
        for (const [, { list }] of dropped) tx.remove(trustListsTable, list.hash);
        for (const { list, value } of kept) tx.put(trustListsTable, list.hash, value);
      })
      .flushed.catch(() => {}); // What breaks the storage is told by whoever waits for a flush.
    return kept.length > 0;
  }

  #fresh(message: TrustListMessage, named: ReadonlySet<string>) {
    const list = readTrustList(message);
    if (list === undefined || !named.has(byteString(list.hash)) || this.get(list.hash) !== undefined) return undefined;
    return { list, value: encoded(list) };
  }

  #put(list: TrustList, bytes: number): boolean {
    const key = byteString(list.hash);
    if (this.#lists.has(key) || this.#bytes + bytes > TRUST_LISTS_BYTES_MAX) return false;
    this.#lists.set(key, { list, bytes });
    this.#bytes += bytes;
    return true;
  }
}

function encoded(list: TrustList): Uint8Array {
  return toBinary(TrustListSchema, list.message);
}

function decoded(value: Uint8Array): TrustList | undefined {
  try {
    return readTrustList(fromBinary(TrustListSchema, value));
  } catch {
    return undefined; // A damaged row: the list comes again.
  }
}
