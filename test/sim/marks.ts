import { globSync, readFileSync } from 'node:fs';

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
    for (const name of missing) lines.push(`     never  ${name}`);
    return lines;
  }

  get missing(): string[] {
    return marksInSources().filter((name) => !this.#counts.has(name));
  }
}

/** Every mark that the sources speak of. */
export function marksInSources(): string[] {
  const names = globSync('src/**/*.ts').flatMap((file) =>
    Array.from(readFileSync(file, 'utf8').matchAll(/\bmark\('([^']+)'\)/g), ([, name]) => name as string),
  );
  return [...new Set(names)].sort();
}
