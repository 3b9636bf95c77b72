import type { TSchema } from 'typebox';

/** What a flag or variable says, as the kind of value that the option has. Ranges and patterns are checked later. */
export function parseText(schema: TSchema, text: string): { value?: unknown; problem?: string } {
  switch ((schema as { type?: string }).type) {
    case 'integer':
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(text) ? { value: Number(text) } : { problem: 'must be a number' };
    case 'boolean':
      return parseBoolean(text);
    case 'array':
      return { value: splitList(text) };
    case 'object':
      return parseMap(text);
    default:
      return { value: text };
  }
}

function parseBoolean(text: string): { value?: boolean; problem?: string } {
  if (text === 'true' || text === '1') return { value: true };
  if (text === 'false' || text === '0') return { value: false };
  return { problem: 'must be true or false' };
}

function parseMap(text: string): { value?: Record<string, string>; problem?: string } {
  const pairs = splitList(text).map((pair) => /^([^=]+)=(.*)$/.exec(pair));
  if (pairs.includes(null)) return { problem: 'must be name=value pairs separated by commas' };
  return { value: Object.fromEntries(pairs.flatMap((pair) => (pair === null ? [] : [[pair[1], pair[2]]]))) };
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
