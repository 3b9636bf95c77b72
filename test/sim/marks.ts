import { globSync, readFileSync } from 'node:fs';

/** Marks that no world gets to as worlds are made now, and why. Whoever makes one that does takes it from here. */
export const outOfReach: Readonly<Record<string, string>> = {
  'crdt fork healing resumed': 'a fork is mended within milliseconds, and no crash has fallen into them yet',
  'crdt rebuild: the feed does not reach back': 'feeds keep the last minute, and a rebuild takes seconds',
  'pinset: the digest is counted anew': 'the feed reaches back to the digest on disk, and rows of neither are damaged',
};

/** Marks that a run of seeds reached, and those there are. */
export class Marks {
  readonly #counts = new Map<string, number>();

  add(marks: Readonly<Record<string, number>>): void {
    for (const [name, count] of Object.entries(marks)) this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  report(): string[] {
    const all = marksInSources();
    const reached = all.filter((name) => this.#counts.has(name));
    const missing = all.filter((name) => !this.#counts.has(name));
    const lines = [`marks: ${reached.length} of ${all.length} reached`];
    for (const name of reached) lines.push(`  ${String(this.#counts.get(name)).padStart(8)}  ${name}`);
    for (const name of missing) {
      const reason = outOfReach[name];
      lines.push(`     never  ${name}${reason === undefined ? '' : ` (${reason})`}`);
    }
    for (const name of reached.filter((each) => each in outOfReach))
      lines.push(`   reached  ${name}: it is no longer out of reach`);
    return lines;
  }
}

/** Every mark that the sources speak of. */
export function marksInSources(): string[] {
  const names = globSync('src/**/*.ts').flatMap((file) =>
    Array.from(readFileSync(file, 'utf8').matchAll(/\bmark\('([^']+)'\)/g), ([, name]) => name as string),
  );
  return [...new Set(names)].sort();
}
