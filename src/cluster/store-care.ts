import type { Consensus } from '../consensus/consensus.ts';
import type { RepairEvent, RepairOptions } from '../consensus/repair.ts';
import type { Pinset } from '../pinset/pinset.ts';
import type { Finding, ScrubProgress } from '../pinset/scrub/scrub.ts';
import type { Clock } from '../runtime/clock.ts';
import { SCRUB_PROGRESS_INTERVAL_MS } from './constants.ts';

export interface ScrubReport extends ScrubProgress {
  /** All was read, and this was found; undefined: it goes on. */
  readonly found: { findings: readonly Finding[]; more: number } | undefined;
}

/** What an operator does to find and mend damage to the store of this peer. */
export interface StoreCare {
  scrub(options: { signal: AbortSignal }): AsyncGenerator<ScrubReport>;
  repair(options: RepairOptions): AsyncGenerator<RepairEvent>;
}

export interface StoreCareNeeds {
  pinset: Pick<Pinset, 'scrub'>;
  consensus: Pick<Consensus, 'repair'>;
  clock: Clock;
}

export function storeCare({ pinset, consensus, clock }: StoreCareNeeds): StoreCare {
  return {
    async *scrub({ signal }) {
      let last: ScrubProgress | undefined;
      let toldMs = Number.NEGATIVE_INFINITY;
      for await (const progress of pinset.scrub.run({ signal })) {
        last = progress;
        // A step takes milliseconds.
        if (clock.monotonicMs() - toldMs < SCRUB_PROGRESS_INTERVAL_MS) continue;
        toldMs = clock.monotonicMs();
        yield { ...progress, found: undefined };
      }
      if (last !== undefined) yield { ...last, found: pinset.scrub.findings() };
    },
    repair: (options) => consensus.repair.run(options),
  };
}
