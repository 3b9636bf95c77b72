import { hex } from '../model/bytes.ts';
import type { Storage } from '../storage/storage.ts';
import { IndexedFields } from './codec/pin-value.ts';
import { INDEXING_ROWS_MAX } from './constants.ts';
import { after, metadataPrefix } from './index-keys.ts';
import type { Indexer } from './indexer.ts';
import type { StoredNames } from './names.ts';
import { shownDot } from './row-hash.ts';
import { readFields, rowFromDisk } from './rows.ts';
import type { Sets } from './sets-state.ts';

export interface MetadataBuilderNeeds {
  storage: Storage;
  names: StoredNames;
  sets: Sets;
  indexer: Indexer;
}

const nothing = new Uint8Array(0);

/**
 * Follows the configuration: a metadata key that is newly indexed gets its entries for the pins that are there, one that
 * is no more loses them, both in the background. Listings use an index when it is complete.
 */
export class MetadataBuilder {
  readonly #needs: MetadataBuilderNeeds;
  readonly #fields = new IndexedFields();

  constructor(needs: MetadataBuilderNeeds) {
    this.#needs = needs;
  }

  /** Notes, in the state of the sets, what is to be done. */
  configure(keys: readonly string[], isEmpty: boolean): void {
    const { storage, sets } = this.#needs;
    const { metadata, building, droppedMetadata } = sets.state;
    const gone = [...metadata, ...(building?.keys ?? [])].filter((key) => !keys.includes(key));
    const missing = keys.filter((key) => !metadata.includes(key));
    const dropped = [...new Set([...droppedMetadata, ...gone])];
    const isSame = gone.length === 0 && missing.join() === (building?.keys ?? []).join();
    if (isSame) return;
    // A key that is to be emptied and wanted again: its old entries may be stale, so they go first.
    storage.transaction((tx) =>
      sets.change(tx, {
        metadata: isEmpty ? [...keys] : metadata.filter((key) => keys.includes(key)),
        droppedMetadata: isEmpty ? [] : dropped,
        building: isEmpty || missing.length === 0 ? undefined : { keys: missing, to: '' },
      }),
    );
  }

  /** One bounded step; undefined: done, else the pause before the next. */
  async step(): Promise<number | undefined> {
    const { storage, sets } = this.#needs;
    await storage.transaction(() => {}).committed;
    const { droppedMetadata, building } = sets.state;
    const dropped = droppedMetadata[0];
    if (dropped !== undefined) await this.#drop(dropped);
    else if (building !== undefined) await this.#build(building.keys, building.to);
    else return undefined;
    return 0;
  }

  async #drop(key: string): Promise<void> {
    const { storage, sets } = this.#needs;
    const { byMetadata } = sets.live;
    const from = metadataPrefix(key);
    const entries: Uint8Array[] = [];
    for (const entry of storage.read.range(byMetadata, { from, to: after(from), limit: INDEXING_ROWS_MAX })) {
      entries.push(entry.key);
    }
    await storage.transaction((tx) => {
      for (const entry of entries) tx.remove(byMetadata, entry);
      if (entries.length === 0) {
        sets.change(tx, { droppedMetadata: sets.state.droppedMetadata.filter((other) => other !== key) });
      }
    }).committed;
  }

  /** Between reading and putting nothing else runs but what is queued: those rows are looked at in the transaction. */
  async #build(keys: readonly string[], to: string): Promise<void> {
    const { storage, names, sets, indexer } = this.#needs;
    const set = sets.live;
    const rows: Uint8Array[] = [];
    const from = Buffer.concat([Buffer.from(to, 'hex'), Buffer.of(0)]);
    for (const { key } of storage.read.range(set.pins, { from, limit: INDEXING_ROWS_MAX })) rows.push(key);
    const last = rows.at(-1);
    await storage.transaction((tx) => {
      for (const key of rows) {
        const dot = shownDot(names, rowFromDisk(names, key, tx.get(set.pins, key)));
        if (dot === undefined) continue;
        readFields(this.#fields, key, dot.value);
        indexer.metadataEntries(set, key, indexer.namespaceOf(key), this.#fields, (table, entry) =>
          tx.put(table, entry, nothing),
        );
      }
      const { metadata } = sets.state;
      if (last === undefined) sets.change(tx, { metadata: [...metadata, ...keys], building: undefined });
      else sets.change(tx, { building: { keys, to: hex(last) } });
    }).committed;
  }
}
