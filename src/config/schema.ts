import type { Assembly } from './assembly.ts';
import type { Option } from './option.ts';

export const schemaUrl = 'https://unpkg.com/pinfold/docs/pinfold.schema.json';

/** JSON schema of the configuration file. Every key may be missing: it then has its default. */
export function configSchema(assembly: Assembly): Record<string, unknown> {
  const sections = assembly.sections.map(({ name, says, options }) => {
    const properties = Object.entries(options).map(([key, option]) => [key, optionSchema(option)]);
    return [name, { ...strictObject(Object.fromEntries(properties)), description: says }];
  });
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: schemaUrl,
    title: 'Configuration of a Pinfold peer',
    ...strictObject({ $schema: { type: 'string' }, ...Object.fromEntries(sections) }),
  };
}

function strictObject(properties: Record<string, unknown>): Record<string, unknown> {
  return { type: 'object', additionalProperties: false, properties };
}

function optionSchema(option: Option): Record<string, unknown> {
  const unit = option.unit === undefined ? '' : ` (${option.unit})`;
  const value = option.default === undefined ? {} : { default: option.default };
  return { ...option.schema, description: `${option.says}${unit}`, ...value };
}
