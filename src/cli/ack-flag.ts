import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import { type AckLevel, AckLevel_Kind, type AckLevelSchema } from '../../gen/pinfold/v1/pin_pb.ts';
import { usageError } from './cli-error.ts';
import { countOf, type Output } from './output.ts';

/** An acknowledgement level as it is asked for. */
export type Ack = MessageInitShape<typeof AckLevelSchema> & { kind: AckLevel_Kind; count: number };

export function ackFlag(command: Command): Command {
  return command.option(
    '--ack <level>',
    'how much of the cluster is to hold it before it is answered: durable, replicated=N or pinned=N (waits 30 s at most)',
  );
}

/** Throws USAGE. */
export function ackFrom(text: string | undefined): Ack | undefined {
  if (text === undefined) return undefined;
  if (text === 'durable') return { kind: AckLevel_Kind.DURABLE, count: 1 };
  const [, name, digits] = /^(replicated|pinned)=(\d{1,4})$/.exec(text) ?? [];
  const count = Number(digits);
  if (name === undefined || count < 1) {
    throw usageError(`--ack takes durable, replicated=N or pinned=N (N from 1), not "${text}"`);
  }
  return { kind: name === 'pinned' ? AckLevel_Kind.PINNED : AckLevel_Kind.REPLICATED, count };
}

/** Unpinned content is pinned nowhere. Throws USAGE. */
export function unpinAckFrom(text: string | undefined): Ack | undefined {
  const ack = ackFrom(text);
  if (ack?.kind === AckLevel_Kind.PINNED) throw usageError('--ack pinned=N is for what is pinned, not for "pin rm"');
  return ack;
}

const names: Partial<Record<AckLevel_Kind, string>> = {
  [AckLevel_Kind.REPLICATED]: 'replicated',
  [AckLevel_Kind.PINNED]: 'pinned',
};

/** "durable", "replicated 2". */
export function levelText(level: Pick<AckLevel, 'kind' | 'count'> | undefined): string {
  const name = level && names[level.kind];
  return name === undefined ? 'durable' : `${name} ${level?.count}`;
}

/** For JSON: as in the API, without what goes without saying. */
export function levelFields(level: Pick<AckLevel, 'kind' | 'count'> | undefined, acknowledgedBy: readonly string[]) {
  const name = level && names[level.kind];
  return name === undefined
    ? { level: 'DURABLE' }
    : { level: name.toUpperCase(), count: level?.count, acknowledgedBy: [...acknowledgedBy] };
}

export function isLess(reached: Pick<AckLevel, 'kind' | 'count'> | undefined, asked: Ack | undefined): boolean {
  if (asked === undefined || names[asked.kind] === undefined) return false;
  return reached?.kind !== asked.kind || reached.count < asked.count;
}

/** Told to people, once: it is no failure. JSON has the level with each answer. */
export function noteLess(out: Output, count: number, asked: Ack | undefined): void {
  if (count === 0) return;
  const what = countOf(count, 'operation');
  out.note(
    `${what} did not reach ${levelText(asked as AckLevel)} in time; what was written stands, at the level shown`,
  );
}
