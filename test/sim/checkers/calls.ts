import { Violation } from '../world/violation.ts';
import type { BatchRecord } from './batch-record.ts';

type Deps = ReadonlyMap<string, number>;
/** Nobody can tell whether the author's peer knew of that operation: it came by a rebuild, or its number names two (N4). */
type IsVague = (rid: string, sequence: number) => boolean;

/** 6.3: a peer that has taken in what came of a call, or of a number of a stream, does it not again. */
export class Calls {
  /** Idempotency key -> dots that were written with it. */
  readonly #dots = new Map<string, string[]>();
  readonly #runs = new Map<string, { batch: BatchRecord; first: number; last: number }[]>();

  /** `isAgain`: what was written before is written again by another replica (N4), which is no answer to anybody. */
  learn(batch: BatchRecord, { deps, isVague, isAgain }: { deps: Deps; isVague: IsVague; isAgain: boolean }): void {
    const mayBe: IsVague = isAgain ? () => true : isVague;
    for (const { idempotency, dot } of batch.operations) {
      if (idempotency !== undefined) this.#checkOnce(idempotency, dot, deps, mayBe);
    }
    for (const run of batch.runs) this.#checkRun(batch, run, deps, mayBe);
  }

  #checkOnce(idempotency: string, dot: string, deps: Deps, isVague: IsVague): void {
    const others = this.#dots.get(idempotency) ?? [];
    this.#dots.set(idempotency, [...others, dot]);
    for (const other of others) {
      const [rid = '', sequence] = other.split(' ');
      const own = dot.split(' ');
      // Two operations of one batch would be two answers to one key as well.
      const covered = rid === own[0] ? Number(own[1]) - 1 : (deps.get(rid) ?? 0);
      if (Number(sequence) <= covered && !isVague(rid, Number(sequence))) {
        throw new Violation('6.3', `a call was done twice: ${other} and then ${dot}, by who had taken in the first`);
      }
    }
  }

  #checkRun(batch: BatchRecord, run: BatchRecord['runs'][number], deps: Deps, isVague: IsVague): void {
    const others = this.#runs.get(run.stream) ?? [];
    this.#runs.set(run.stream, [...others, { batch, first: run.first, last: run.last }]);
    for (const other of others) {
      if (other.last < run.first || other.first > run.last) continue;
      const covered = other.batch.rid === batch.rid ? batch.first - 1 : (deps.get(other.batch.rid) ?? 0);
      if (other.batch.last <= covered && !isVague(other.batch.rid, other.batch.last)) {
        throw new Violation(
          '6.3',
          `numbers ${run.first}-${run.last} of a stream were done twice by who had taken them in`,
        );
      }
    }
  }
}
