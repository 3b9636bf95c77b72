import { pino } from 'pino';
import { isPinfoldError } from '../model/errors.ts';
import type { Logger } from './logger.ts';

export const logLevels = ['error', 'warn', 'info', 'debug', 'trace'] as const;
export const logFormats = ['auto', 'text', 'json'] as const;

export interface PinoLoggerInit {
  level: (typeof logLevels)[number];
  /** `auto`: text on a terminal, else JSON. */
  format: (typeof logFormats)[number];
}

/** Where the lines go: standard error, or what a test looks at. */
export interface LogStream {
  readonly isTTY?: boolean;
  write(line: string): unknown;
}

/** Written instead of the values of these keys at any depth: a last guard, for nobody should log them at all. */
const secretKeys = /^(secret|privateKey|seed|password|token|authorization|swarmKey)$/i;
const depthMax = 6;

export function pinoLogger(init: PinoLoggerInit, stream: LogStream = process.stderr): Logger {
  const isText = init.format === 'text' || (init.format === 'auto' && stream.isTTY === true);
  const destination = isText ? { write: (line: string) => stream.write(textLine(line)) } : stream;
  const options: pino.LoggerOptions = {
    level: init.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    messageKey: 'message',
  };
  return wrap(pino(options, { write: (line: string) => void destination.write(line) }));
}

function wrap(inner: pino.Logger): Logger {
  const at = (level: (typeof logLevels)[number]) => (message: string, data?: Record<string, unknown>) => {
    if (!inner.isLevelEnabled(level)) return;
    inner[level](data === undefined ? {} : (plain(data, 0) as object), message);
  };
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    trace: at('trace'),
    child: (component) => wrap(inner.child({ component })),
  };
}

/** Data as JSON can hold it: errors with their causes, big integers, bytes by their length; never a secret. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= depthMax) return '...';
  if (value instanceof Error) return plainError(value, depth);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  if (value instanceof Map) return plain(Object.fromEntries(value), depth);
  if (value instanceof Set) return plain([...value], depth);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, secretKeys.test(key) ? '(hidden)' : plain(item, depth + 1)]),
  );
}

function plainError(error: Error, depth: number): Record<string, unknown> {
  return {
    // An expected failure explains itself; only for a defect does it matter where it came from.
    ...(isPinfoldError(error) ? { code: error.code } : { name: error.name, stack: error.stack }),
    message: error.message,
    ...(error.cause === undefined ? {} : { cause: plain(error.cause, depth + 1) }),
    ...(error instanceof AggregateError ? { errors: plain(error.errors, depth + 1) } : {}),
  };
}

/** `12:30:01.123 info  tracker: message key=value ...` */
function textLine(line: string): string {
  const { level, time, message, component, ...data } = JSON.parse(line) as Record<string, unknown>;
  const clock = String(time).slice(11, 23);
  const from = component === undefined ? '' : `${component}: `;
  const facts = Object.entries(data).map(([key, value]) => ` ${key}=${textValue(value)}`);
  return `${clock} ${String(level).padEnd(5)} ${from}${message}${facts.join('')}\n`;
}

/** Text from elsewhere may hold line breaks and terminal codes: JSON's quoting makes them harmless. */
function textValue(value: unknown): string {
  return typeof value === 'string' && /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value);
}
