import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Timestamp, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Command } from 'commander';
import type { PinFilterSchema } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { systemClock } from '../runtime/clock.ts';
import { usageError } from './cli-error.ts';
import { durationMs, pairFrom } from './pin-flags.ts';

/** Which pins are meant, shared by `pin ls` and `status`. */
export interface FilterFlags {
  namespace?: string[];
  name?: string;
  namePrefix?: string;
  meta?: string[];
  createdAfter?: string;
  createdBefore?: string;
}

/** All but `--namespace`, which each command has in a form of its own. */
export function filterFlags(command: Command): Command {
  return command
    .option('--name <name>', 'only pins with this name')
    .option('--name-prefix <prefix>', 'only pins whose name begins so')
    .option('--meta <key=value...>', 'only pins with all of these metadata')
    .option(
      '--created-after <time>',
      'only pins created later: 2026-01-31, 2026-01-31T12:00:00Z, or 30d for 30 days ago',
    )
    .option('--created-before <time>', 'only pins created earlier');
}

export function filterFrom(flags: FilterFlags): MessageInitShape<typeof PinFilterSchema> {
  const { namespace = [], name, namePrefix, meta = [], createdAfter, createdBefore } = flags;
  if (name !== undefined && namePrefix !== undefined) throw usageError('--name or --name-prefix, not both');
  return {
    namespaces: namespace,
    metadata: meta.map(pairFrom),
    ...(name === undefined ? {} : { name: { case: 'nameEquals', value: name } }),
    ...(namePrefix === undefined ? {} : { name: { case: 'namePrefix', value: namePrefix } }),
    ...(createdAfter === undefined ? {} : { createdAfter: timeFrom('--created-after', createdAfter) }),
    ...(createdBefore === undefined ? {} : { createdBefore: timeFrom('--created-before', createdBefore) }),
  };
}

/** 1h: an hour ago. */
export const timeAgo = (text: string): Timestamp => timestampFromMs(systemClock.nowMs() - durationMs(text));

function timeFrom(flag: string, text: string): Timestamp {
  if (!/^\d{4}-/.test(text)) return timeAgo(text);
  const ms = Date.parse(text);
  if (Number.isNaN(ms))
    throw usageError(`${flag} takes a date such as 2026-01-31 or 2026-01-31T12:00:00Z, not "${text}"`);
  return timestampFromMs(ms);
}
