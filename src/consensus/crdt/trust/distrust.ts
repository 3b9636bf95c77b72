import { PinfoldError } from '../../../model/errors.ts';
import type { Alerts } from '../alerts.ts';
import type { Unseen } from '../core/trust-reach.ts';
import type { Trust } from './trust.ts';

export interface DistrustNeeds {
  peerId: string;
  trust: Pick<Trust, 'unseen'>;
  alerts: Alerts;
  /** Writes nothing, so there is nothing for others to take. */
  isFollower: boolean;
}

/** Peers named in a message; of more their number. */
const namedMax = 5;

/** T4: whether this peer may write, whom its answers name, and the alerts DISTRUSTED_BY about each who never gets it. */
export class Distrust {
  readonly #needs: DistrustNeeds;
  #alerted: readonly string[] = [];
  #seen: Unseen | undefined;

  constructor(needs: DistrustNeeds) {
    this.#needs = needs;
  }

  /** Raises and clears what has changed. Cheap when nothing has. */
  look(): Unseen {
    const { trust, isFollower } = this.#needs;
    const unseen = trust.unseen();
    if (unseen === this.#seen || isFollower) return unseen;
    this.#seen = unseen;
    this.#alert(unseen.never);
    return unseen;
  }

  refusal(): PinfoldError | undefined {
    const { isRefused, never } = this.look();
    if (!isRefused) return undefined;
    const { peerId } = this.#needs;
    return new PinfoldError(
      'NOT_TRUSTED',
      `no other member takes what this peer writes: one of ${named(never)} must trust it; run there: ${remedy(peerId)}`,
      { facts: { peerId, distrustedBy: named(never) } },
    );
  }

  #alert(never: readonly string[]): void {
    const { alerts, peerId } = this.#needs;
    for (const other of this.#alerted) if (!never.includes(other)) alerts.clear('DISTRUSTED_BY', other);
    for (const other of never) {
      const problem = 'it takes what this peer writes neither from it nor through others';
      alerts.raise('DISTRUSTED_BY', other, `${problem}; run there: ${remedy(peerId)}`);
    }
    this.#alerted = never;
  }
}

function remedy(peerId: string): string {
  return `pinfold peers trust --add ${peerId}`;
}

function named(peerIds: readonly string[]): string {
  const more = peerIds.length - namedMax;
  return peerIds.slice(0, namedMax).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
