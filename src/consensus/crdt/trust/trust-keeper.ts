import type { ReportUntrustedRequest } from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { formatPeerId } from '../../../model/peer-id.ts';
import type { Network } from '../../../network/network.ts';
import type { Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { Alerts } from '../alerts.ts';
import type { Intake } from '../intake.ts';
import type { Meeting } from '../meeting.ts';
import type { CrdtMetrics } from '../metrics.ts';
import type { PeerViews } from '../peer-views.ts';
import type { CrdtStore } from '../state/store.ts';
import type { Followers } from '../sync/followers.ts';
import { Distrust } from './distrust.ts';
import type { Trust } from './trust.ts';
import { TurnedAway } from './turned-away.ts';

export interface TrustKeeperNeeds {
  network: Pick<Network, 'peerId' | 'connected' | 'rpc'>;
  trust: Trust;
  store: Pick<CrdtStore, 'acks'>;
  alerts: Alerts;
  views: PeerViews;
  isFollower: boolean;
  timers: Timers;
  logger: Logger;
  metrics: CrdtMetrics;
}

/** What of the consensus rests on trust. */
export interface TrustKeeperParts {
  intake: Intake;
  followers: Followers;
  meeting: Meeting;
  /** The peers that count are others. */
  onChange(): void;
}

/** Keeps what is under way in step with whom this peer trusts, and tells those whom it does not (T3 to T5). */
export class TrustKeeper {
  readonly #needs: TrustKeeperNeeds;
  readonly #distrust: Distrust;
  readonly #turnedAway: TurnedAway;
  #unsubscribe: (() => void)[] = [];

  constructor(needs: TrustKeeperNeeds) {
    this.#needs = needs;
    this.#distrust = new Distrust({ ...needs, peerId: needs.network.peerId });
    this.#turnedAway = new TurnedAway({ ...needs, rpc: needs.network.rpc });
  }

  start(parts: TrustKeeperParts): void {
    const { trust, network, store } = this.#needs;
    const { acks } = store;
    this.#unsubscribe = [
      trust.onChange(() => this.#changed(parts)),
      trust.onMember((peerId, what) => {
        if (what === 'gone') acks.forget(peerId);
        else if (network.connected().includes(peerId)) parts.meeting.greet(peerId);
      }),
    ];
  }

  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#turnedAway.stop();
  }

  /** Brings the alerts up to date. */
  look(): void {
    this.#distrust.look();
  }

  /** T4: the error that a write would meet. */
  refusal() {
    return this.#distrust.refusal();
  }

  turnedAway(author: string): void {
    this.#turnedAway.add(author);
  }

  /** T5, the author's side: the lists decide what it means (T4). */
  reported(from: string, { batches, trustList }: ReportUntrustedRequest): void {
    const { trust, metrics, logger } = this.#needs;
    metrics.untrustedReports.add(1);
    if (trustList !== undefined) trust.receive([trustList]);
    const problem = 'another peer does not trust this one: it takes what is written here through others, if at all';
    logger.warn(problem, { peerId: from, batches: Number(batches) });
    this.look();
  }

  /** What rests on trust that is no more ends, and the others are told. */
  #changed({ intake, followers, meeting, onChange }: TrustKeeperParts): void {
    const { network, trust, views, metrics } = this.#needs;
    metrics.pendingDropped.add(intake.pending.keep((author) => trust.isTrusted(formatPeerId(author))));
    for (const peerId of network.connected()) {
      if (!trust.isTrusted(peerId)) {
        followers.left(peerId);
        views.forget(peerId);
      }
      meeting.greet(peerId);
    }
    this.look();
    onChange();
  }
}
