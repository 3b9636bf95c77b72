import type { Assembly } from './assembly.ts';

/** A configuration as it may be shown: secret values are replaced, values that are not set are left out. */
export function redacted(
  assembly: Assembly,
  config: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): Record<string, Record<string, unknown>> {
  const shown: Record<string, Record<string, unknown>> = {};
  for (const { section, key, option } of assembly.entries) {
    const value = config[section]?.[key];
    if (value === undefined) continue;
    shown[section] = { ...shown[section], [key]: option.secret ? '(hidden)' : value };
  }
  return shown;
}
