import type { StateOfPeer } from './crdt-truth.ts';

type Log = StateOfPeer['log'];

/**
 * What was cut from logs (4.7). It was on a disk, so it stands, also when no log has it any more, and the truth rests on it. Whatever
 * may be cut before the next look must have been seen.
 */
export class Archive {
  readonly #seen = new Map<string, Log>();
  readonly #cut = new Map<string, Log>();

  look(states: ReadonlyMap<string, StateOfPeer>): void {
    for (const [name, { log, clock }] of states) {
      for (const [rid, written] of this.#seen.get(name) ?? []) {
        const floor = clock.get(rid)?.floor ?? 0;
        const isThere = (last: number) => log.get(rid)?.some(({ batch }) => batch.head.last === last) ?? false;
        const cut = written.filter(({ batch: { head } }) => head.last <= floor && !isThere(head.last));
        if (cut.length > 0) this.#keep(name, rid, cut);
      }
      this.#seen.set(name, log);
    }
  }

  /** The peer has lost what was not flushed. */
  crashed(name: string): void {
    this.#seen.delete(name);
  }

  /** As states of peers that have all of it in their logs. */
  states(): StateOfPeer[] {
    return [...this.#cut.values()].map((log) => {
      const lastOf = (rid: string) => Math.max(0, ...(log.get(rid) ?? []).map(({ batch }) => batch.head.last));
      const clock = new Map([...log.keys()].map((rid) => [rid, { sequence: lastOf(rid), hash: '', floor: 0 }]));
      return { clock, log, rows: new Map() };
    });
  }

  #keep(name: string, rid: string, cut: NonNullable<ReturnType<Log['get']>>): void {
    const log = this.#cut.get(name) ?? new Map();
    this.#cut.set(name, log.set(rid, [...(log.get(rid) ?? []), ...cut]));
  }
}
