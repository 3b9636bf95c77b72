import { REVISIONS_REMEMBERED } from '../constants.ts';
import { encodeHeads, type Head } from '../core/position.ts';
import type { ClockStep, Replica } from './replicas.ts';

/** Where the history of a replica ended. */
type Ending = Pick<ClockStep, 'sequence' | 'hash'>;

/**
 * Which clock was true at which revision, for the last few thousand transactions (6.4): a resume token must not cover more than
 * what was delivered with it, or changes in between would be missed.
 */
export class RevisionClocks {
  /** Of the last transaction queued. */
  revision: number;
  #flushedRevision: number;
  readonly #steps: { revision: number; steps: readonly ClockStep[] }[] = [];
  /** The clock before the oldest of `#steps`, and up to which revision it is true. */
  readonly #base = new Map<Replica, Ending>();
  #baseRevision: number;
  #newest: Uint8Array | undefined;

  constructor(revision: number, replicas: readonly Replica[]) {
    this.revision = revision;
    this.#flushedRevision = revision;
    this.#baseRevision = revision;
    for (const replica of replicas) this.#base.set(replica, { sequence: replica.sequence, hash: replica.hash });
  }

  /** A transaction was flushed: it took these steps and is that revision. In order. */
  flushed(revision: number, steps: readonly ClockStep[]): void {
    this.#flushedRevision = revision;
    this.#newest = undefined;
    this.#steps.push({ revision, steps });
    if (this.#steps.length <= REVISIONS_REMEMBERED) return;
    const oldest = this.#steps.shift() as { revision: number; steps: readonly ClockStep[] };
    this.#baseRevision = oldest.revision;
    for (const step of oldest.steps) this.#base.set(step.replica, step);
  }

  /** The position that covers what is committed at that revision and no more; undefined: not flushed, or too long ago. */
  position(revision: number): Uint8Array | undefined {
    if (revision > this.#flushedRevision || revision < this.#baseRevision) return undefined;
    if (revision < this.#flushedRevision) return encodeHeads(heads(this.#clockAt(revision)));
    this.#newest ??= encodeHeads(heads(this.#clockAt(revision)));
    return this.#newest;
  }

  #clockAt(revision: number): Map<Replica, Ending> {
    const clock = new Map(this.#base);
    for (const { revision: at, steps } of this.#steps) {
      if (at > revision) break;
      for (const step of steps) clock.set(step.replica, step);
    }
    return clock;
  }
}

function* heads(clock: ReadonlyMap<Replica, Ending>): Generator<Head> {
  for (const [{ rid }, { sequence, hash }] of clock) if (sequence > 0) yield { rid, sequence, hash };
}
