import { PinChanges } from './pin-changes.ts';
import { StatusLog } from './status-log.ts';
import type { WatchNeeds } from './watch.ts';

/** What all watches of this peer use together. */
export class SharedWatching {
  readonly changes: PinChanges;
  watches = 0;
  readonly #needs: WatchNeeds;
  readonly #logs = new Map<string, StatusLog>();

  constructor(needs: WatchNeeds) {
    this.#needs = needs;
    this.changes = new PinChanges(needs.pinset);
  }

  log(peerId: string): StatusLog {
    // Those without users hold nothing but their name.
    for (const [id, { users }] of this.#logs) if (users === 0) this.#logs.delete(id);
    const known = this.#logs.get(peerId);
    if (known !== undefined) return known;
    const log = new StatusLog(this.#needs, peerId);
    this.#logs.set(peerId, log);
    return log;
  }
}
