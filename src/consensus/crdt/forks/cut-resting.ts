import type { Logger } from '../../../runtime/logger.ts';
import { mark } from '../../../runtime/mark.ts';
import { FORK_REST_MS } from '../constants.ts';
import type { Fork } from '../state/fork-book.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';

/**
 * N4: a batch that depends on operation 9 of a branch that was given up can be taken by nobody, if the one that goes on ends with 7, and
 * neither can what follows it. So, when the others had time to bring what they have, F rises over it: who lacks it hears
 * FULL_NEEDED and takes it as rows (4.6), which depend on nothing.
 */
export function cutResting({ store, logger }: { store: CrdtStore; logger: Logger }): void {
  const { clock } = store.needs;
  for (const { replica, fork } of store.forks.all()) {
    const isDue = fork.state === 'settled' && fork.builtOn.length > 0 && clock.nowMs() - fork.sinceMs >= FORK_REST_MS;
    if (isDue) cut(store, replica, fork, logger);
  }
}

function cut(store: CrdtStore, forked: Replica, fork: Fork, logger: Logger): void {
  const floors = new Map<Replica, number>();
  for (const { replica: number, last, needs } of fork.builtOn) {
    const replica = store.replicas.byNumber(number);
    if (replica === undefined || needs <= forked.sequence || last <= replica.floor) continue;
    floors.set(replica, Math.max(last, floors.get(replica) ?? 0));
  }
  const settled: Fork = { ...fork, builtOn: [] };
  store.needs.storage.transaction((tx) => {
    for (const [replica, floor] of floors) {
      const { sequence, hash } = replica;
      store.replicas.put(tx, { replica, sequence, hash }, floor);
    }
    store.forks.put(tx, forked, settled);
  });
  store.forks.kept(forked, settled);
  for (const [replica, floor] of floors) replica.floor = floor;
  if (floors.size === 0) return;
  mark('crdt fork: the log cut above what rests on a given-up branch');
  logger.warn('what was built on operations that were given up is taken by others as rows', { replicas: floors.size });
}
