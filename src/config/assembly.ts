import type { Option, OptionSection, OptionsOf, OptionTable } from './option.ts';

/** All options of a program, by the names under which the outside knows them. */
export interface Assembly<S extends readonly OptionSection[] = readonly OptionSection[]> {
  readonly sections: S;
  /** In the order of the sections, which is that of the reference. */
  readonly entries: readonly OptionEntry[];
  readonly byPath: ReadonlyMap<string, OptionEntry>;
  readonly byVariable: ReadonlyMap<string, OptionEntry>;
  readonly byFlag: ReadonlyMap<string, OptionEntry>;
}

export interface OptionEntry {
  readonly section: string;
  readonly key: string;
  /** `section.key`, as in the configuration file. */
  readonly path: string;
  /** `PINFOLD_SECTION_KEY`. */
  readonly variable: string;
  /** `section-key`, without the dashes in front. */
  readonly flag: string;
  readonly option: OptionTable[string];
}

/** The values of all sections: `{ tracker: { pinTimeoutMs: ... }, ... }`. */
export type ConfigOf<A> =
  A extends Assembly<infer S> ? { readonly [E in S[number] as E['name']]: OptionsOf<E> } : never;

export const variablePrefix = 'PINFOLD_';

/** Throws when two options would have one name: a defect of the program. */
export function assembleOptions<const S extends readonly OptionSection[]>(sections: S): Assembly<S> {
  const entries = sections.flatMap((section) =>
    Object.entries(section.options).map(([key, option]) => entry(section.name, key, option)),
  );
  return {
    sections,
    entries,
    byPath: index(entries, 'path'),
    byVariable: index(entries, 'variable'),
    byFlag: index(entries, 'flag'),
  };
}

function entry(section: string, key: string, option: Option): OptionEntry {
  const words = [...wordsOf(section), ...wordsOf(key)];
  return {
    section,
    key,
    path: `${section}.${key}`,
    variable: `${variablePrefix}${words.join('_').toUpperCase()}`,
    flag: option.flag ?? words.join('-'),
    option,
  };
}

function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(' ');
}

function index(entries: readonly OptionEntry[], by: 'path' | 'variable' | 'flag'): Map<string, OptionEntry> {
  const map = new Map(entries.map((entry) => [entry[by], entry]));
  if (map.size !== entries.length) throw new Error(`two options have the same ${by}`);
  return map;
}
