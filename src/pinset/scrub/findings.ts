import { SCRUB_FINDINGS_MAX } from '../constants.ts';
import type { Finding } from './scrub.ts';

/** What stands of what was found, by bucket and kind. */
export class Findings {
  readonly #found = new Map<string, Finding>();
  readonly #beyond = new Set<number>();
  readonly #listeners = new Set<() => void>();

  /** What was found of that kind in the bucket now; without an example nothing. */
  set(finding: Omit<Finding, 'example'> & { example: string | undefined }): void {
    const { bucket, kind, example } = finding;
    if (example === undefined && this.#found.size + this.#beyond.size === 0) return;
    const id = `${bucket} ${kind}`;
    if (example === undefined) {
      const isGone = this.#found.delete(id);
      if (isGone || this.#beyond.delete(bucket)) this.#tell();
      return;
    }
    const known = this.#found.get(id);
    if (known?.count === finding.count && known.example === example) return;
    if (known === undefined && this.#found.size >= SCRUB_FINDINGS_MAX) this.#beyond.add(bucket);
    else this.#found.set(id, { ...finding, example });
    this.#tell();
  }

  /** Of a kind that is found entry by entry: what was found in a whole round, by bucket. */
  replace(kind: Finding['kind'], round: ReadonlyMap<number, { count: number; example: string }>): void {
    for (const { bucket, kind: its } of [...this.#found.values()]) {
      if (its === kind && !round.has(bucket)) this.set({ bucket, kind, count: 0, example: undefined });
    }
    for (const [bucket, { count, example }] of round) this.set({ bucket, kind, count, example });
  }

  all(): readonly Finding[] {
    return [...this.#found.values()].sort((a, b) => a.bucket - b.bucket);
  }

  /** Buckets with findings for which there was no room. */
  get more(): number {
    return this.#beyond.size;
  }

  get buckets(): number {
    return new Set([...this.#found.values()].map(({ bucket }) => bucket)).size + this.#beyond.size;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
