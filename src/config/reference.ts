import type { Assembly, OptionEntry } from './assembly.ts';

/** The reference of all options, in Markdown: a table for each section. */
export function configReference(assembly: Assembly): string {
  const sections = assembly.sections.map(({ name, says }) => {
    const rows = assembly.entries.filter((entry) => entry.section === name).map(row);
    const head = ['| key | default | what | range | flag, variable |', '| --- | --- | --- | --- | --- |'];
    return [`## \`${name}\``, '', says, '', ...head, ...rows].join('\n');
  });
  return `${sections.join('\n\n')}\n`;
}

function row({ key, option, flag, variable }: OptionEntry): string {
  const unit = option.unit === undefined ? '' : ` (${option.unit})`;
  const scope = option.scope === 'cluster' ? ' **The same on all peers.**' : '';
  const cells = [
    `\`${key}\``,
    option.default === undefined ? '' : `\`${JSON.stringify(option.default)}\``,
    `${option.says}${unit}.${scope}`,
    range(option.schema as Record<string, unknown>),
    `\`--${flag}\` \`${variable}\``,
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function range(schema: Record<string, unknown>): string {
  const { minimum, maximum, enum: choices, type, 'x-form': form, items } = schema;
  if (Array.isArray(choices)) return choices.map((choice) => `\`${choice}\``).join(', ');
  if (minimum !== undefined) {
    return maximum === Number.MAX_SAFE_INTEGER ? `${minimum} or more` : `${minimum} to ${maximum}`;
  }
  if (type === 'array') return `list: ${range(items as Record<string, unknown>)}`;
  if (type === 'object') return 'texts by name';
  return typeof form === 'string' ? form : String(type);
}
