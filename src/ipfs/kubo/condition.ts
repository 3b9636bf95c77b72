import { raceSignal } from '../../runtime/abort.ts';
import type { Timer, Timers } from '../../runtime/clock.ts';
import { ConnectorError } from '../connector.ts';
import type { NodeState, NodeStateName, NodeStates } from '../node-state.ts';
import { RESTART_MS } from './constants.ts';

type Reach = 'up' | 'restarting' | 'down' | 'unauthorized';

/** What is known of the node, one thing beside the other; the state is the worst of them. */
export class Condition implements NodeStates {
  readonly #timers: Timers;
  readonly #restartMs: number;
  readonly #listeners: ((state: NodeState) => void)[] = [];
  #reach: Reach = 'restarting';
  #reachDetail = 'it has not answered yet';
  #identityProblem: string | undefined;
  #spaceProblem: string | undefined;
  #collections = 0;
  #state: NodeState = { name: 'restarting', detail: this.#reachDetail };
  #changed = Promise.withResolvers<void>();
  #grace: Timer | undefined;
  #down = new AbortController();

  constructor(init: { restartMs?: number | undefined }, needs: { timers: Timers }) {
    this.#timers = needs.timers;
    this.#restartMs = init.restartMs ?? RESTART_MS;
  }

  get current(): NodeState {
    return this.#state;
  }

  onChange(listener: (state: NodeState) => void): void {
    this.#listeners.push(listener);
  }

  stop(): void {
    this.#grace?.cancel();
  }

  answers(identityProblem: string | undefined): void {
    this.#endGrace();
    if (this.#down.signal.aborted) this.#down = new AbortController();
    [this.#reach, this.#reachDetail, this.#identityProblem] = ['up', '', identityProblem];
    this.#update();
  }

  unauthorized(detail: string): void {
    this.#endGrace();
    [this.#reach, this.#reachDetail] = ['unauthorized', detail];
    this.#update();
  }

  /** It did not answer: it is taken to restart for a while, then it is down. */
  absent(detail: string): void {
    this.#reachDetail = detail;
    if (this.#reach === 'up' || this.#reach === 'unauthorized') this.#reach = 'restarting';
    if (this.#reach === 'restarting') {
      this.#grace ??= this.#timers.after(this.#restartMs, () => {
        this.#reach = 'down';
        this.#update();
        this.#down.abort(this.#unreachable());
      });
    }
    this.#update();
  }

  full(detail: string | undefined): void {
    this.#spaceProblem = detail;
    this.#update();
  }

  get isFull(): boolean {
    return this.#spaceProblem !== undefined;
  }

  /** From the call until `over`. */
  collecting(): { over(): void } {
    let isOver = false;
    this.#collections++;
    this.#update();
    return {
      over: () => {
        if (isOver) return;
        isOver = true;
        this.#collections--;
        this.#update();
      },
    };
  }

  get isCollecting(): boolean {
    return this.#collections > 0;
  }

  get isRestarting(): boolean {
    return this.#reach === 'restarting';
  }

  /** Resolves when it no longer restarts, whatever it is then. */
  async settled(signal: AbortSignal): Promise<void> {
    while (this.isRestarting) await raceSignal(this.#changed.promise, signal);
  }

  /** Throws UNREACHABLE when there is no node that may be asked. */
  requireReachable(): void {
    if (!this.isReachable) throw this.#unreachable();
  }

  get isReachable(): boolean {
    return this.#reach === 'up' && this.#identityProblem === undefined;
  }

  /** Aborts, with UNREACHABLE, when the node is down: so that nobody waits on for what it will not answer. */
  get down(): AbortSignal {
    return this.#down.signal;
  }

  #unreachable(): ConnectorError {
    const { name, detail } = this.#state;
    return new ConnectorError('UNREACHABLE', `the IPFS node is ${worded[name]}: ${detail}`);
  }

  /** Throws DISK_FULL. */
  requireSpace(): void {
    if (this.#spaceProblem !== undefined) throw new ConnectorError('DISK_FULL', this.#spaceProblem);
  }

  #endGrace(): void {
    this.#grace?.cancel();
    this.#grace = undefined;
  }

  #update(): void {
    const state = this.#worst();
    const { name, detail } = this.#state;
    if (state.name === name && state.detail === detail) return;
    this.#state = state;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    for (const listener of this.#listeners) listener(state);
  }

  #worst(): NodeState {
    if (this.#reach !== 'up') return { name: this.#reach, detail: this.#reachDetail };
    if (this.#identityProblem !== undefined) return { name: 'other_identity', detail: this.#identityProblem };
    if (this.#spaceProblem !== undefined) return { name: 'no_space', detail: this.#spaceProblem };
    if (this.#collections > 0) return { name: 'collecting', detail: 'it collects garbage: pins wait' };
    return { name: 'up', detail: '' };
  }
}

const worded: Record<NodeStateName, string> = {
  up: 'up',
  restarting: 'restarting',
  down: 'down',
  unauthorized: 'not open to this peer',
  other_identity: 'not the one of this peer',
  no_space: 'full',
  collecting: 'collecting garbage',
};
