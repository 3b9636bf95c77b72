import type { Monitor } from '../../monitor/monitor.ts';

/** How far a look at all pins is, and then what came of it. */
export type PlanStep = { kind: 'progress'; done: number; of: number } | ({ kind: 'plan' } & Plan);

export interface Plan {
  /** Pins with a move. */
  pins: number;
  /** Pins that stay where they should not: too few other peers can take them. */
  stuck: number;
  /** Pins that are meant for every peer. */
  everywhere: number;
  peers: PeerMoves[];
}

export interface PeerMoves {
  peerId: string;
  peerName: string;
  /** Allocated to it now. */
  pins: number;
  leaving: number;
  arriving: number;
  /** About; 0: not known. */
  arrivingBytes: number;
}

/** Adds up moves, by peer. */
export class MoveCounts {
  readonly #monitor: Pick<Monitor, 'members' | 'metric'>;
  readonly #peers = new Map<string, { pins: number; leaving: number; arriving: number; from: Map<string, number> }>();
  #pins = 0;
  #stuck = 0;
  #everywhere = 0;

  constructor(monitor: Pick<Monitor, 'members' | 'metric'>) {
    this.#monitor = monitor;
    for (const { peerId } of monitor.members()) this.#of(peerId);
  }

  allocated(peerIds: readonly string[]): void {
    for (const peerId of peerIds) this.#of(peerId).pins++;
  }

  everywhere(): void {
    this.#everywhere++;
  }

  stuck(): void {
    this.#stuck++;
  }

  moved(from: string, to: readonly string[]): void {
    this.#pins++;
    this.#of(from).leaving++;
    for (const peerId of to) {
      const peer = this.#of(peerId);
      peer.arriving++;
      peer.from.set(from, (peer.from.get(from) ?? 0) + 1);
    }
  }

  plan(): Plan {
    const names = new Map(this.#monitor.members().map(({ peerId, name }) => [peerId, name]));
    const bytes = new Map(this.#monitor.metric('reposize').map(({ peerId, value }) => [peerId, Number(value)]));
    const pinBytes = (peerId: string) => {
      const pins = (this.#peers.get(peerId)?.pins ?? 0) + this.#everywhere;
      return pins === 0 ? 0 : (bytes.get(peerId) ?? 0) / pins;
    };
    return {
      pins: this.#pins,
      stuck: this.#stuck,
      everywhere: this.#everywhere,
      peers: [...this.#peers].map(([peerId, { pins, leaving, arriving, from }]) => ({
        peerId,
        peerName: names.get(peerId) ?? '',
        pins,
        leaving,
        arriving,
        arrivingBytes: Math.round([...from].reduce((sum, [giver, moves]) => sum + moves * pinBytes(giver), 0)),
      })),
    };
  }

  #of(peerId: string) {
    const known = this.#peers.get(peerId);
    if (known !== undefined) return known;
    const made = { pins: 0, leaving: 0, arriving: 0, from: new Map<string, number>() };
    this.#peers.set(peerId, made);
    return made;
  }
}
