import { create } from '@bufbuild/protobuf';
import { ReportUntrustedRequestSchema } from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import type { Timer, Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { UNTRUSTED_AUTHORS_MAX, UNTRUSTED_REPORT_INTERVAL_MS } from '../constants.ts';
import type { CrdtMetrics } from '../metrics.ts';
import { only, type PeerCalls } from '../peer-calls.ts';
import type { TrustList } from './trust-list.ts';

export interface TurnedAwayNeeds {
  rpc: PeerCalls;
  trust: { readonly own: TrustList };
  timers: Timers;
  logger: Logger;
  metrics: CrdtMetrics;
}

/** T5: what the door turned away is counted, logged, and told to its author, each once a minute at most. */
export class TurnedAway {
  readonly #needs: TurnedAwayNeeds;
  readonly #abort = new AbortController();
  readonly #batches = new Map<string, number>();
  readonly #reporting = new Set<Promise<void>>();
  #timer: Timer | undefined;

  constructor(needs: TurnedAwayNeeds) {
    this.#needs = needs;
  }

  /** A valid batch, or its announcement. */
  add(author: string): void {
    const { metrics, timers } = this.#needs;
    metrics.turnedAway.add(1);
    if (this.#abort.signal.aborted) return;
    const known = this.#batches.get(author);
    if (known === undefined && this.#batches.size >= UNTRUSTED_AUTHORS_MAX) return;
    this.#batches.set(author, (known ?? 0) + 1);
    this.#timer ??= timers.after(UNTRUSTED_REPORT_INTERVAL_MS, () => this.#report());
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort(new Error('stopped'));
    await Promise.all(this.#reporting);
  }

  #report(): void {
    this.#timer = undefined;
    const turnedAway = [...this.#batches];
    this.#batches.clear();
    for (const [author, batches] of turnedAway) {
      this.#needs.logger.warn('batches of a peer that is not trusted were turned away', { author, batches });
      const reporting = this.#tell(author, batches).finally(() => this.#reporting.delete(reporting));
      this.#reporting.add(reporting);
    }
  }

  /** An author that is away learns it from the lists, at the next Hello. */
  async #tell(author: string, batches: number): Promise<void> {
    const { rpc, trust, logger } = this.#needs;
    const request = create(ReportUntrustedRequestSchema, {
      batches: BigInt(batches),
      trustList: trust.own.message,
    });
    try {
      await only(rpc.call(author, 'reportUntrusted', [request], { signal: this.#abort.signal }));
    } catch (problem) {
      logger.debug('an untrusted author was not told', { author, problem: String(problem) });
    }
  }
}
