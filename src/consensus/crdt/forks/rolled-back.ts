import type { Alerts } from '../alerts.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';

/** N3, for the operator: own operations that others have and this store lacked, until they are back. */
export class RolledBack {
  readonly #store: CrdtStore;
  readonly #alerts: Alerts;
  /** Up to where others were heard to have each own replica. */
  readonly #lacking = new Map<Replica, number>();

  constructor(store: CrdtStore, alerts: Alerts) {
    this.#store = store;
    this.#alerts = alerts;
  }

  heard(replica: Replica, sequence: number, from: string): void {
    this.#lacking.set(replica, Math.max(sequence, this.#lacking.get(replica) ?? 0));
    const message = `its store was put back: ${from} has operations of this peer that it lacks; they are taken from there, and it writes on as a new incarnation`;
    this.#alerts.raise('ROLLED_BACK', this.#store.needs.peerId, message);
  }

  /** Called now and then. */
  check(): void {
    if (this.#lacking.size === 0) return;
    for (const [replica, sequence] of this.#lacking) if (replica.flushedSequence < sequence) return;
    this.#lacking.clear();
    const message = 'its store was put back; what it lacked has come from the others';
    this.#alerts.healed('ROLLED_BACK', this.#store.needs.peerId, message);
  }
}
