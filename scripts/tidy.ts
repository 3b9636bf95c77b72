import { globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { aboveTheSeams, mayImport } from './layers.ts';

/** A file of the project, cut into what is code and what is said. */
export interface Source {
  readonly path: string;
  readonly lines: readonly string[];
  /** The lines with comments and the contents of texts taken out, so that words in them are not taken for code. */
  readonly code: readonly string[];
  readonly imports: readonly string[];
}

export function readSources(patterns: readonly string[]): Source[] {
  return globSync([...patterns])
    .sort()
    .map((path) => parseSource(path, readFileSync(path, 'utf8')));
}

export function parseSource(path: string, text: string): Source {
  const code = blankOut(text).split('\n');
  const found = text.matchAll(
    /^\s*(?:import|export)\b[^'"();]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'|\bimport\('([^']+)'\)/gm,
  );
  return {
    path,
    lines: text.split('\n'),
    code,
    imports: [...found].map((match) => match[1] ?? match[2] ?? match[3] ?? ''),
  };
}

/** Comments and texts become spaces; what a template text embeds goes with it. */
function blankOut(text: string): string {
  const tokens = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
  return text.replace(tokens, (token) => token.replaceAll(/[^\n]/g, ' '));
}

interface Rule {
  readonly pattern: RegExp;
  readonly instead: string;
  readonly appliesTo: (path: string) => boolean;
}

const moduleOf = (path: string) => (path.startsWith('src/') ? path.split('/')[1] : undefined);
const inModules =
  (...modules: string[]) =>
  (path: string) =>
    modules.includes(moduleOf(path) ?? '');
const notIn =
  (...modules: string[]) =>
  (path: string) =>
    moduleOf(path) !== undefined && !inModules(...modules)(path);

/** What code may not say, and where. */
const rules: readonly Rule[] = [
  { pattern: /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/, instead: 'a Clock', appliesTo: notIn('runtime') },
  {
    pattern: /\bMath\.random\b|\brandomBytes\(|\brandomUUID\(|\bgetRandomValues\(/,
    instead: 'a Random',
    appliesTo: notIn('runtime'),
  },
  { pattern: /(?<![.\w])(setTimeout|setInterval|setImmediate)\(/, instead: 'Timers', appliesTo: notIn('runtime') },
  {
    pattern: /\bprocess\.env\b/,
    instead: 'what config, daemon or cli hands over',
    appliesTo: notIn('runtime', 'config', 'daemon', 'cli'),
  },
  { pattern: /\bprocess\.exit\(/, instead: 'process.exitCode', appliesTo: notIn('cli') },
  { pattern: /\bAbortSignal\.timeout\b/, instead: 'deadlineSignal', appliesTo: notIn('runtime') },
  { pattern: /^export default\b/, instead: 'a named export', appliesTo: () => true },
  {
    pattern: /@ts-(ignore|nocheck|expect-error)/,
    instead: 'right types',
    appliesTo: (path) => path.startsWith('src/'),
  },
];

/** Modules of Node.js that the simulator cannot stand in for. */
const outsideWorld =
  /^(node:)?(fs|fs\/promises|net|tls|dgram|http|https|http2|dns|child_process|cluster|worker_threads|timers|timers\/promises)$/;

export function problemsOf(source: Source): string[] {
  return [...codeProblems(source), ...wordProblems(source), ...importProblems(source)];
}

function codeProblems({ path, code, lines }: Source): string[] {
  const problems: string[] = [];
  for (const { pattern, instead, appliesTo } of rules) {
    if (!appliesTo(path)) continue;
    // A directive to the compiler is a comment; everything else must be code.
    const searched = pattern.source.startsWith('@ts') ? lines : code;
    searched.forEach((line, i) => {
      const found = pattern.exec(line);
      if (found !== null) problems.push(`${path}:${i + 1}: ${found[0].trim()}: use ${instead}`);
    });
  }
  return problems;
}

/** Unfinished work belongs into the tracker, and where the code came from is nobody's concern. */
const words = /\b(TODO|FIXME|XXX)\b|\/work\/(?:shared|main|notes)/;
/** Files that speak of these words. */
const speaksOfThem = ['scripts/tap-report.ts', 'scripts/tidy.ts'];

function wordProblems({ path, lines }: Source): string[] {
  if (speaksOfThem.includes(path)) return [];
  return lines.flatMap((line, i) => {
    const found = words.exec(line);
    return found === null ? [] : [`${path}:${i + 1}: ${found[0]} does not belong here`];
  });
}

function importProblems({ path, imports }: Source): string[] {
  const from = moduleOf(path);
  if (from === undefined) return [];
  return imports.flatMap((specifier) => {
    const says = (what: string) => [`${path}: ${what}: ${specifier}`];
    if (!specifier.startsWith('.')) {
      return aboveTheSeams.includes(from) && outsideWorld.test(specifier) ? says('not above the seams') : [];
    }
    if (specifier.endsWith('/package.json')) return [];
    if (!specifier.endsWith('.ts')) return says('relative imports end in .ts');
    const target = posix.join(posix.dirname(path), specifier);
    if (target.startsWith('gen/')) return [];
    const to = moduleOf(target);
    if (to === undefined) return says('src/ imports nothing outside of src/ and gen/');
    const allowed = mayImport[from];
    if (allowed === undefined) return says(`scripts/layers.ts does not know the module ${from}`);
    return to === from || allowed.includes(to) ? [] : says(`${from} may not import ${to}`);
  });
}
