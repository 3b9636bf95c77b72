import type { Assembly, ConfigOf } from './assembly.ts';
import { fileLayer, flagsLayer, type Layer, type RawConfig, variablesLayer } from './layers.ts';
import { configInvalid, type Problem } from './problem.ts';
import { validate } from './validate.ts';

export interface ConfigSources<A extends Assembly> {
  /** The configuration file; without it there are the defaults. */
  file?: { name: string; text: string };
  variables?: Readonly<Record<string, string | undefined>>;
  flags?: Readonly<Record<string, string | true>>;
  /** Variables that begin like those of options and are none, such as the secret's. */
  notOptions?: readonly string[];
  /** What no single option can say about itself: problems between options, asked only of a valid configuration. */
  check?: (config: ConfigOf<A>) => readonly Problem[];
}

export interface LoadedConfig<A extends Assembly> {
  /** Deeply frozen; every option has its value. */
  readonly config: ConfigOf<A>;
  /** For the operator: what was ignored, and why. */
  readonly warnings: readonly string[];
}

/** Flags go before variables, variables before the file, the file before the defaults. Throws `CONFIG_INVALID` with all problems. */
export function loadConfig<A extends Assembly>(assembly: A, sources: ConfigSources<A>): LoadedConfig<A> {
  const layers: Layer[] = [];
  if (sources.file !== undefined) layers.push(fileLayer(assembly, sources.file.name, sources.file.text));
  layers.push(variablesLayer(assembly, sources.variables ?? {}, sources.notOptions ?? []));
  layers.push(flagsLayer(assembly, sources.flags ?? {}));

  const raw = merge(layers.map((layer) => layer.values));
  const problems = [...layers.flatMap((layer) => layer.problems), ...validate(assembly, raw)];
  if (problems.length > 0) throw configInvalid(problems);

  const config = deepFreeze(withDefaults(assembly, raw)) as ConfigOf<A>;
  const between = sources.check?.(config) ?? [];
  if (between.length > 0) throw configInvalid(between);
  return { config, warnings: layers.flatMap((layer) => layer.warnings) };
}

function merge(layers: readonly RawConfig[]): RawConfig {
  const merged: RawConfig = {};
  for (const layer of layers) {
    for (const [section, values] of Object.entries(layer)) merged[section] = { ...merged[section], ...values };
  }
  return merged;
}

function withDefaults(assembly: Assembly, raw: RawConfig): RawConfig {
  const whole: RawConfig = {};
  for (const { name, options } of assembly.sections) {
    const values = Object.entries(options).map(([key, option]) => [
      key,
      raw[name]?.[key] ?? structuredClone(option.default),
    ]);
    whole[name] = Object.fromEntries(values);
  }
  return whole;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) deepFreeze(member);
    Object.freeze(value);
  }
  return value;
}
