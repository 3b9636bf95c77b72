import type { Connector, HoldMode } from '../ipfs/connector.ts';
import { formatCid } from '../model/cid.ts';
import { mergeSignals } from '../runtime/abort.ts';
import { type Clock, jittered, sleep, type Timers } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { mark } from '../runtime/mark.ts';
import type { Random } from '../runtime/random.ts';
import { AUDIT_FINGERPRINTS_MAX, AUDIT_RETRY_MS, AUDIT_SLICE, RETRY_JITTER } from './constants.ts';
import { Fingerprints } from './fingerprints.ts';
import type { TrackerMetrics } from './metrics.ts';
import type { TrackerOptions } from './options.ts';
import type { StatusIndex } from './status-index.ts';
import type { StatusRow } from './status-row.ts';

export interface AuditNeeds {
  connector: Pick<Connector, 'list' | 'pinned'>;
  index: StatusIndex;
  /** Whether something is being done about that wish. */
  isBusy: (cid: Uint8Array) => boolean;
  metrics: TrackerMetrics;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
}

/**
 * Compares what the node says it holds with the rows that say `pinned`. The node lists in no order, so a pass keeps
 * fingerprints of what it lists; with many pins, several passes take a part of the wishes each. What seems to be
 * missing is asked for once more, singly, before it is believed.
 */
export class Audit {
  readonly #options: TrackerOptions;
  readonly #needs: AuditNeeds;
  readonly #signal: AbortSignal;
  #foreign = 0;
  #vanished = 0;
  #isDue = false;
  #wake: (() => void) | undefined;

  constructor(options: TrackerOptions, needs: AuditNeeds, signal: AbortSignal) {
    this.#options = options;
    this.#needs = needs;
    this.#signal = signal;
  }

  /** Without waiting for the interval: the node was away, and may have come back with less. */
  soon(): void {
    this.#isDue = true;
    this.#wake?.();
  }

  /** At once and then at each interval, sooner after one that failed, until the signal aborts. */
  async run(): Promise<void> {
    const { logger } = this.#needs;
    while (!this.#signal.aborted) {
      this.#isDue = false;
      let intervalMs = this.#options.auditIntervalMs;
      try {
        await this.once();
      } catch (error) {
        if (!this.#signal.aborted) logger.warn('the audit of the IPFS node did not end', { error });
        intervalMs = Math.min(intervalMs, AUDIT_RETRY_MS);
      }
      if (!this.#isDue) await this.#wait(intervalMs);
    }
  }

  async #wait(aboutMs: number): Promise<void> {
    const { timers, random } = this.#needs;
    using scope = mergeSignals(this.#signal);
    this.#wake = () => scope.abort(new Error('the audit is due'));
    const intervalMs = Math.ceil(jittered(random, aboutMs, RETRY_JITTER));
    await sleep(timers, intervalMs, scope.signal).catch(() => {});
  }

  async once(): Promise<void> {
    const { index, metrics, logger } = this.#needs;
    const startedMs = this.#needs.clock.nowMs();
    const passes = Math.max(1, Math.ceil((index.count('pinned') * 1.5) / AUDIT_FINGERPRINTS_MAX));
    this.#foreign = 0;
    this.#vanished = 0;
    for (let pass = 0; pass < passes; pass++) {
      const isMine = (cid: Uint8Array) => (cid[cid.length - 1] as number) % passes === pass;
      await this.#compare(await this.#listed(isMine), isMine, startedMs);
    }
    metrics.foreign.set(this.#foreign, {});
    const problem = 'pins are gone from the IPFS node without our doing; they are pinned again';
    if (this.#vanished > 0) logger.warn(problem, { pins: this.#vanished });
  }

  async #listed(isMine: (cid: Uint8Array) => boolean): Promise<Fingerprints> {
    const { connector, index } = this.#needs;
    // Rows may be added while the node lists: what does not fit is asked for singly, as if it were missing.
    const keptMax = Math.min(AUDIT_FINGERPRINTS_MAX, 2 * index.rows() + AUDIT_SLICE);
    const listed = new Fingerprints(keptMax);
    let seen = 0;
    let kept = 0;
    for await (const { cid } of connector.list({ signal: this.#signal })) {
      if (isMine(cid)) {
        if (index.newest(cid) === undefined) {
          if (!this.#needs.isBusy(cid)) this.#foreign++;
        } else if (kept++ < keptMax) listed.add(cid);
      }
      if (++seen % AUDIT_SLICE === 0) await this.#pause();
    }
    return listed;
  }

  async #compare(listed: Fingerprints, isMine: (cid: Uint8Array) => boolean, startedMs: number): Promise<void> {
    let last: Uint8Array | undefined;
    for (;;) {
      const rows = this.#needs.index.listAll(last, AUDIT_SLICE);
      for (const { cid, row } of rows) {
        if (row.status !== 'pinned' || row.sinceMs >= startedMs || !isMine(cid)) continue;
        this.#needs.metrics.audited.add(1, {});
        if (!listed.has(cid)) await this.#missing(cid);
      }
      last = rows.at(-1)?.cid;
      if (last === undefined) return;
      await this.#pause();
    }
  }

  async #missing(cid: Uint8Array): Promise<void> {
    const { connector, index, isBusy, clock, metrics, logger } = this.#needs;
    const mode = await connector.pinned(cid, { signal: this.#signal });
    const row = index.newest(cid);
    if (row?.status !== 'pinned' || isBusy(cid) || !isLess(mode, row)) return;
    const sinceMs = clock.nowMs();
    mark('tracker: the node has lost a pin');
    index.put(cid, { ...row, status: 'unexpectedly_unpinned', sinceMs, held: 'none' });
    metrics.vanished.add(1, {});
    this.#vanished++;
    logger.debug('a pin is gone from the IPFS node', { cid: formatCid(cid) });
  }

  #pause(): Promise<void> {
    return sleep(this.#needs.timers, Math.ceil((AUDIT_SLICE * 1000) / this.#options.auditRateMax), this.#signal);
  }
}

function isLess(mode: HoldMode | 'none', row: StatusRow): boolean {
  return mode === 'none' || (mode === 'direct' && row.held === 'recursive');
}
