import type { Assembly, OptionEntry } from './assembly.ts';
import { variablePrefix } from './assembly.ts';
import type { Problem } from './problem.ts';
import { suggest } from './suggest.ts';
import { parseText } from './text-value.ts';

/** Values as one source gives them: section -> key -> value. Not yet validated. */
export type RawConfig = Record<string, Record<string, unknown>>;

export interface Layer {
  readonly values: RawConfig;
  readonly problems: Problem[];
  readonly warnings: string[];
}

/** The text of the configuration file. `fileName` is for the problems. */
export function fileLayer(assembly: Assembly, fileName: string, fileText: string): Layer {
  const layer = emptyLayer();
  let parsed: unknown;
  try {
    parsed = JSON.parse(fileText);
  } catch (error) {
    layer.problems.push({ at: fileName, problem: `is not valid JSON: ${jsonProblem(error)}` });
    return layer;
  }
  if (!isRecord(parsed)) {
    layer.problems.push({ at: fileName, problem: 'must hold a JSON object' });
    return layer;
  }
  for (const [name, section] of Object.entries(parsed)) {
    if (name !== '$schema') readSection(assembly, name, section, layer);
  }
  return layer;
}

function readSection(assembly: Assembly, name: string, section: unknown, layer: Layer): void {
  const known = assembly.sections.map((section) => section.name);
  if (!known.includes(name)) {
    layer.problems.push({ at: name, problem: `unknown key${didYouMean(suggest(name, known))}` });
  } else if (!isRecord(section)) {
    layer.problems.push({ at: name, problem: 'must be an object' });
  } else {
    for (const [key, value] of Object.entries(section)) readKey(assembly, name, key, value, layer);
  }
}

function readKey(assembly: Assembly, section: string, key: string, value: unknown, layer: Layer): void {
  const entry = assembly.byPath.get(`${section}.${key}`);
  if (entry !== undefined) setValue(layer, entry, value);
  else
    layer.problems.push({
      at: `${section}.${key}`,
      problem: `unknown key${didYouMean(suggestKey(assembly, section, key))}`,
    });
}

/** A key of the same section that is spelt like it, or one of that very name elsewhere. */
function suggestKey(assembly: Assembly, section: string, key: string): string | undefined {
  const siblings = assembly.entries.filter((entry) => entry.section === section).map((entry) => entry.key);
  return suggest(key, siblings) ?? assembly.entries.find((entry) => entry.key === key)?.path;
}

/**
 * `PINFOLD_*` variables. An unknown one is only a warning: an environment is not ours alone (Kubernetes puts
 * `PINFOLD_SERVICE_HOST` into every container beside a service of that name).
 */
export function variablesLayer(
  assembly: Assembly,
  variables: Readonly<Record<string, string | undefined>>,
  notOptions: readonly string[],
): Layer {
  const layer = emptyLayer();
  for (const [name, text] of Object.entries(variables)) {
    if (text === undefined || !name.startsWith(variablePrefix) || notOptions.includes(name)) continue;
    const entry = assembly.byVariable.get(name);
    if (entry !== undefined) readText(layer, entry, name, text);
    else
      layer.warnings.push(`the variable ${name} is no option${didYouMean(suggest(name, assembly.byVariable.keys()))}`);
  }
  return layer;
}

/** Flags by name, without the dashes; `true` for one that stands alone. */
export function flagsLayer(assembly: Assembly, flags: Readonly<Record<string, string | true>>): Layer {
  const layer = emptyLayer();
  for (const [name, text] of Object.entries(flags)) {
    const entry = assembly.byFlag.get(name);
    if (entry !== undefined) readText(layer, entry, `--${name}`, text === true ? 'true' : text);
    else {
      const meant = suggest(name, assembly.byFlag.keys());
      layer.problems.push({ at: `--${name}`, problem: `unknown flag${didYouMean(meant && `--${meant}`)}` });
    }
  }
  return layer;
}

function readText(layer: Layer, entry: OptionEntry, at: string, text: string): void {
  const { value, problem } = parseText(entry.option.schema, text);
  if (problem === undefined) setValue(layer, entry, value);
  else layer.problems.push({ at, problem });
}

function setValue(layer: Layer, entry: OptionEntry, value: unknown): void {
  layer.values[entry.section] ??= {};
  const section = layer.values[entry.section];
  if (section !== undefined) section[entry.key] = value;
}

function emptyLayer(): Layer {
  return { values: {}, problems: [], warnings: [] };
}

function didYouMean(name: string | undefined): string {
  return name === undefined ? '' : `; did you mean ${name}?`;
}

/** V8 quotes what it read, which may be a secret: only the place is kept. */
function jsonProblem(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  const place = /at position \d+( \(line \d+ column \d+\))?/.exec(message);
  if (place !== null) return `unexpected text ${place[0]}`;
  return /end of JSON|Unterminated/.test(message) ? 'it ends too early' : 'unexpected text';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
