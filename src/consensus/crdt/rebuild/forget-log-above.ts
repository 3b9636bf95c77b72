import { GROUP_OPS_MAX } from '../constants.ts';
import { logKey } from '../state/keys.ts';
import type { CrdtStore } from '../state/store.ts';
import { logTable } from '../tables.ts';

/** Removes from the log what only a shadow has taken: all above C. */
export async function forgetLogAbove(store: CrdtStore): Promise<void> {
  const { storage } = store.needs;
  for (const replica of store.replicas.sorted()) {
    for (let isMore = true; isMore; ) {
      await storage.flushed();
      const range = { from: logKey(replica.number, replica.sequence + 1), to: logKey(replica.number + 1, 0) };
      const keys = [...storage.read.range(logTable, { ...range, limit: GROUP_OPS_MAX })].map(({ key }) => key);
      isMore = keys.length === GROUP_OPS_MAX;
      if (keys.length === 0) break;
      storage.transaction((tx) => {
        for (const key of keys) tx.remove(logTable, key);
      });
    }
  }
}
