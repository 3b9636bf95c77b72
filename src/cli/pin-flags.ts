import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Command } from 'commander';
import { PinMode, type PinOptionsSchema } from '../../gen/pinfold/v1/pin_pb.ts';
import { systemClock } from '../runtime/clock.ts';
import { usageError } from './cli-error.ts';

/** The flags of a pin, shared by `pin add` and `add`. */
export interface PinFlags {
  namespace: string;
  name?: string;
  mode: string;
  replication?: string;
  replicationMin?: string;
  replicationMax?: string;
  allocation?: string[];
  meta?: string[];
  origin?: string[];
  expiresIn?: string;
}

export function pinFlags(command: Command): Command {
  return command
    .option('-n, --namespace <name>', 'whose pins', '')
    .option('--name <name>', 'a name for people')
    .option('--mode <mode>', 'recursive or direct', 'recursive')
    .option('-r, --replication <n>', 'how many peers keep it (-1: all)')
    .option('--replication-min <n>', 'at least so many')
    .option('--replication-max <n>', 'at most so many')
    .option('--allocation <peer...>', 'prefer these peers')
    .option('--meta <key=value...>', 'metadata')
    .option('--origin <multiaddr...>', 'who has the content, with /p2p/')
    .option('--expires-in <time>', 'ends by itself: 90s, 30m, 12h, 30d');
}

export function pinOptionsFrom(flags: PinFlags): MessageInitShape<typeof PinOptionsSchema> {
  const both = flags.replication;
  return {
    name: flags.name ?? '',
    mode: modeFrom(flags.mode),
    replicationMin: countFrom('--replication-min', flags.replicationMin ?? both),
    replicationMax: countFrom('--replication-max', flags.replicationMax ?? both),
    userAllocations: flags.allocation ?? [],
    metadata: (flags.meta ?? []).map(pairFrom),
    origins: flags.origin ?? [],
    ...(flags.expiresIn === undefined
      ? {}
      : { expires: timestampFromMs(systemClock.nowMs() + durationMs(flags.expiresIn)) }),
  };
}

function modeFrom(mode: string): PinMode {
  if (mode === 'recursive') return PinMode.RECURSIVE;
  if (mode === 'direct') return PinMode.DIRECT;
  throw usageError(`--mode must be recursive or direct, not "${mode}"`);
}

function countFrom(flag: string, text: string | undefined): number {
  if (text === undefined) return 0;
  const count = Number(text);
  if (!Number.isInteger(count) || count < -1 || count === 0 || count > 4_096) {
    throw usageError(`${flag} takes -1 or a whole number from 1 to 4096, not "${text}"`);
  }
  return count;
}

/** 0: no limit. */
export function limitFrom(text: string | undefined): number {
  if (text === undefined) return 0;
  const limit = Number(text);
  if (text.trim() === '' || !Number.isInteger(limit) || limit < 1 || limit > 0xffffffff) {
    throw usageError(`--limit takes a whole number from 1, not "${text}"`);
  }
  return limit;
}

export function pairFrom(text: string): { key: string; value: string } {
  const at = text.indexOf('=');
  if (at < 1) throw usageError(`--meta takes key=value, not "${text}"`);
  return { key: text.slice(0, at), value: text.slice(at + 1) };
}

const unitsMs: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** 90s, 30m, 12h, 30d. */
export function durationMs(text: string): number {
  const match = /^(\d+)([smhd])$/.exec(text);
  const unit = unitsMs[match?.[2] ?? ''];
  if (match === null || unit === undefined) throw usageError(`"${text}" is not a time such as 90s, 30m, 12h or 30d`);
  const ms = Number(match[1]) * unit;
  // A century: beyond, protobuf's times end.
  if (ms === 0 || ms > 36_500 * 86_400_000) throw usageError(`"${text}" is not a time from 1s to 36500d`);
  return ms;
}
