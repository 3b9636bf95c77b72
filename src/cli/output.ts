import { type DescMessage, type MessageShape, toJson } from '@bufbuild/protobuf';
import Table from 'cli-table3';
import pc from 'picocolors';
import type { CliError } from './cli-error.ts';

/** Where a command writes: aligned text for people, or the API's messages in protobuf's JSON form, one a line. */
export interface Output {
  readonly json: boolean;
  /** A terminal that a person looks at: colours and progress are welcome. */
  readonly interactive: boolean;
  line(text: string): void;
  message<D extends DescMessage>(schema: D, message: MessageShape<D>): void;
  object(value: Readonly<Record<string, unknown>>): void;
  /** Rows below a head; nothing at all without rows but the note. */
  table(head: readonly string[], rows: readonly (readonly string[])[], noneNote: string): void;
  /** For people only, on standard error: never in the way of what is piped. */
  note(text: string): void;
  failure(error: CliError): void;
}

export interface OutputInit {
  format: 'text' | 'json';
  quiet: boolean;
}

export function output({ format, quiet }: OutputInit): Output {
  const json = format === 'json';
  const interactive = !json && process.stdout.isTTY === true;
  const write = (text: string) => process.stdout.write(`${text}\n`);
  return {
    json,
    interactive,
    line: write,
    message: (schema, message) => write(JSON.stringify(toJson(schema, message))),
    object: (value) => write(JSON.stringify(value)),
    table(head, rows, noneNote) {
      if (rows.length === 0) this.note(noneNote);
      else write(formatTable(head, rows));
    },
    note(text) {
      if (!quiet && !json) process.stderr.write(`${text}\n`);
    },
    failure(error) {
      if (json) process.stderr.write(`${JSON.stringify({ error: error.reason, message: error.message })}\n`);
      else process.stderr.write(`${pc.red('error')} ${error.message} ${pc.dim(`(${error.reason})`)}\n`);
    },
  };
}

const noBorders = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: head.map((title) => pc.bold(title)),
    chars: noBorders,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** 1536 -> "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** "1 pin", "2 pins". */
export const countOf = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
