import type { Monitor } from '../../monitor/monitor.ts';
import type { Clock } from '../../runtime/clock.ts';

export interface AbsencesInit {
  /** A peer that was not up for so long is lost, ms. */
  graceMs: number;
}

export interface AbsencesNeeds {
  monitor: Pick<Monitor, 'members' | 'member' | 'onChange'>;
  clock: Pick<Clock, 'monotonicMs'>;
}

/**
 * For how long peers have not been up, by this peer's clock; of those that are no members, since they were first asked for. A single sign
 * of life begins the count anew: a peer that comes and goes is never lost. Nothing of it is kept over a restart.
 */
export class Absences {
  readonly #init: AbsencesInit;
  readonly #needs: AbsencesNeeds;
  /** Monotonic, ms. As large as the set of peers that pins were ever allocated to (4,096 at most). */
  readonly #since = new Map<string, number>();

  constructor(init: AbsencesInit, needs: AbsencesNeeds) {
    this.#init = init;
    this.#needs = needs;
    needs.monitor.onChange((change) => {
      if (change.kind === 'health') this.#note(change.peerId);
    });
  }

  /**
   * Not up for longer than the grace period, while more than half of the members are: who sees fewer may be the one that is cut off,
   * and what it moved would move back when the cut heals.
   */
  isLost(peerId: string): boolean {
    return this.#isOverdue(peerId) && this.#isMajorityUp();
  }

  /** Peers that are away for so long, but not taken for lost because too few others are up. */
  held(): string[] {
    if (this.#isMajorityUp()) return [];
    return this.#needs.monitor
      .members()
      .map(({ peerId }) => peerId)
      .filter((peerId) => this.#isOverdue(peerId));
  }

  #isOverdue(peerId: string): boolean {
    const since = this.#note(peerId);
    return since !== undefined && this.#needs.clock.monotonicMs() - since >= this.#init.graceMs;
  }

  /** Of the members that are no followers. */
  #isMajorityUp(): boolean {
    const voters = this.#needs.monitor.members().filter(({ follower }) => !follower);
    return voters.filter(({ health }) => health === 'up').length * 2 > voters.length;
  }

  /** Since when it is away; undefined: it is up. */
  #note(peerId: string): number | undefined {
    if (this.#needs.monitor.member(peerId)?.health === 'up') {
      this.#since.delete(peerId);
      return undefined;
    }
    const since = this.#since.get(peerId) ?? this.#needs.clock.monotonicMs();
    this.#since.set(peerId, since);
    return since;
  }
}
