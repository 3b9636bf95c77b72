import { Ajv, type ErrorObject } from 'ajv';
import type { Assembly } from './assembly.ts';
import type { RawConfig } from './layers.ts';
import type { Problem } from './problem.ts';
import { configSchema } from './schema.ts';

/** Every value that is not what its option takes. Unknown keys have been reported before, with a suggestion. */
export function validate(assembly: Assembly, raw: RawConfig): Problem[] {
  const ajv = new Ajv({ allErrors: true, verbose: true, keywords: ['x-form'] });
  const isValid = ajv.compile(configSchema(assembly));
  if (isValid(raw)) return [];
  const problems = (isValid.errors ?? []).map((error) => describe(assembly, error));
  return problems.filter(({ at, problem }, i) => problems.findIndex((p) => p.at === at && p.problem === problem) === i);
}

function describe(assembly: Assembly, error: ErrorObject): Problem {
  const steps = error.instancePath.slice(1).split('/').map(unescapePointer);
  const at = steps.join('.');
  const secret = assembly.byPath.get(steps.slice(0, 2).join('.'))?.option.secret ?? false;
  const is = secret ? '' : ` (it is ${shorten(error.data)})`;
  return { at, problem: `${expectation(error)}${is}` };
}

function expectation(error: ErrorObject): string {
  const form = (error.parentSchema as Record<string, unknown> | undefined)?.['x-form'];
  if (error.keyword === 'pattern' && typeof form === 'string') return `must be ${form}`;
  if (error.keyword === 'enum') {
    const { allowedValues } = error.params as { allowedValues: string[] };
    return `must be one of ${allowedValues.join(', ')}`;
  }
  return error.message ?? 'is not valid';
}

function shorten(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

function unescapePointer(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}
