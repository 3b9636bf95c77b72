import type { Command } from 'commander';
import pc from 'picocolors';
import {
  type RepairBucket,
  type RepairEvent,
  RepairEventSchema,
  RepairRemedy,
  type RepairResult,
  ScrubFindingKind,
  ScrubPhase,
  type ScrubStoreResponse,
  ScrubStoreResponseSchema,
} from '../../../gen/pinfold/v1/repair_pb.ts';
import { CliError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import { countOf } from '../output.ts';
import { type Progress, progressOf } from '../progress.ts';
import type { Run } from '../run.ts';

const scrubHelp = `
A peer re-reads one percent of its pins in an hour by itself. This reads all of them now, no faster than
pinset.scrubRowsPerSecondMax; the peer goes on serving meanwhile. The exit code is 1 when damage was found.

Examples:
  pinfold store scrub
  pinfold store scrub --output json`;

const repairHelp = `
Looks at what differs although it should not: where the digests of this peer and another differ, and where a scrub of one of
the two has found damage (run "pinfold store scrub" first if you doubt a disk). What is right is decided bucket by bucket:

  restore   the rows here are not what this peer's digest says, and those of the other are: they are taken
  keep      the other way round: the other peer takes the rows of this one
  unite     nothing proves which are right: both keep all that either has, which may bring back what was removed
  digest    the rows are equal; the digest is counted anew
  rescue    the two have not taken in the same yet: only what cannot be read is replaced; run it again later
  left out  the two have not taken in the same yet, or the rows changed meanwhile; run it again later

Without --apply nothing is written. With it rows are written here and, by the other peers, there. The exit code is 1 when damage
stands that no peer that was asked can put right.

Such damage keeps writes to those pins out, and peers from joining. When all members are up and still nobody has what is
missing, --accept-loss gives it up: rows that cannot be read are removed, and named. Pin again what you still want.

Examples:
  pinfold store repair
  pinfold store repair --apply
  pinfold store repair --apply --accept-loss`;

/** `pinfold store scrub|repair`. */
export function storeCareCommands(program: Command, run: Run): void {
  const store =
    program.commands.find((command) => command.name() === 'store') ??
    program.command('store').description('what is done to the store of the peer that answers');
  store
    .command('scrub')
    .description('re-read the store, to find what its disk changed or lost')
    .addHelpText('after', scrubHelp)
    .action(run((context) => scrub(context)));
  store
    .command('repair')
    .description('show how the pins of this peer differ from those of others where they should not, and put it right')
    .option('--apply', 'put it right')
    .option('--accept-loss', 'with --apply: remove rows that cannot be read and that no member asked has')
    .addHelpText('after', repairHelp)
    .action(run((context, options: RepairFlags) => repair(context, options)));
}

async function scrub(context: CliContext): Promise<void> {
  const { out } = context;
  const progress = percentOf(context);
  let last: ScrubStoreResponse | undefined;
  try {
    for await (const report of (await context.clients()).peers.scrubStore({})) {
      last = report;
      if (out.json) out.message(ScrubStoreResponseSchema, report);
      const half = report.phase === ScrubPhase.INDEXES ? 50 : 0;
      progress.reach(half + (report.of === 0n ? 50 : Number((report.done * 50n) / report.of)));
    }
  } finally {
    progress.stop();
  }
  if (last === undefined) return;
  if (!out.json) showFindings(context, last);
  if (last.damagedBuckets > 0)
    throw new CliError(`damage in ${countOf(last.damagedBuckets, 'bucket')}`, 'DATA_CORRUPT');
}

function showFindings({ out }: CliContext, { findings, more }: ScrubStoreResponse): void {
  if (findings.length === 0) {
    out.line('no damage was found');
    return;
  }
  out.table(
    ['BUCKET', 'DAMAGE', 'COUNT', 'EXAMPLE'],
    findings.map(({ bucket, kind, count, example }) => [`${bucket}`, findingTexts[kind] ?? '', `${count}`, example]),
    '',
  );
  if (more > 0) out.line(`and in ${countOf(more, 'further bucket')}`);
  out.note('"pinfold store repair" shows what can be done');
}

const findingTexts: Readonly<Record<ScrubFindingKind, string>> = {
  [ScrubFindingKind.UNSPECIFIED]: '',
  [ScrubFindingKind.ROW]: pc.red('unreadable row'),
  [ScrubFindingKind.SUM]: pc.red('row lost or changed'),
  [ScrubFindingKind.INDEX]: pc.yellow('index entry lost'),
  [ScrubFindingKind.ORPHAN]: pc.yellow('index entry of no pin'),
};

interface RepairFlags {
  apply?: boolean;
  acceptLoss?: boolean;
}

async function repair(context: CliContext, { apply = false, acceptLoss = false }: RepairFlags): Promise<void> {
  const { out } = context;
  if (acceptLoss && !apply)
    throw new CliError('--accept-loss goes with --apply: see the plan first', 'INVALID_ARGUMENT');
  const { peers } = await context.clients();
  const progress = progressOf(out, undefined, 'buckets');
  const buckets: RepairBucket[] = [];
  let peersAsked = 0;
  let result: RepairResult | undefined;
  try {
    for await (const { event } of apply ? peers.applyRepair({ acceptLoss }) : peers.planRepair({})) {
      if (event === undefined) continue;
      if (out.json) out.message(RepairEventSchema, event);
      else showPeer(context, progress, event);
      if (event.event.case === 'peer' && event.event.value.error === '') peersAsked++;
      if (event.event.case === 'bucket') buckets.push(event.event.value);
      if (event.event.case === 'bucket') progress.advance(1);
      if (event.event.case === 'result') result = event.event.value;
    }
  } finally {
    progress.stop();
  }
  if (result === undefined) return;
  if (!out.json) showResult(context, buckets, result, apply);
  if (peersAsked === 0)
    out.note('no peer was asked: rows are taken from members that are up, trusted, and no followers');
  // A plan that does something may put right all of it.
  if (result.damagedBuckets > 0 && (apply || result.buckets === 0)) {
    const why =
      result.leftOut > 0
        ? 'some were left out: run it again'
        : 'nobody asked has what is missing here; --accept-loss gives it up';
    throw new CliError(`damage stands in ${countOf(result.damagedBuckets, 'bucket')}: ${why}`, 'DATA_CORRUPT');
  }
}

function showPeer({ out }: CliContext, progress: Progress, { event }: RepairEvent): void {
  if (event.case !== 'peer') return;
  const { peerId, buckets, leftOut, allLeftOut, error } = event.value;
  if (error !== '') {
    progress.line(`${peerId}  ${pc.red(error)}`);
    return;
  }
  const left = allLeftOut ? 'one has far more operations than the other' : `${leftOut} left out`;
  progress.line(`${peerId}  ${countOf(buckets, 'bucket')} to look at, ${left}`);
  if (allLeftOut) out.note('let the two catch up first');
}

function showResult({ out }: CliContext, buckets: readonly RepairBucket[], result: RepairResult, apply: boolean): void {
  if (buckets.length > 0) {
    out.line('');
    out.table(
      ['BUCKET', 'PEER', 'REMEDY', 'ONLY HERE', 'ONLY THERE', 'DIFFERENT', 'UNREADABLE', ...(apply ? ['WRITTEN'] : [])],
      buckets.map((each) => [...bucketRow(each), ...(apply ? [`${each.writtenHere}`] : [])]),
      '',
    );
  }
  if (result.untold > 0) out.line(`and ${countOf(result.untold, 'further bucket')}`);
  if (!apply) {
    if (result.buckets > 0) out.line('nothing was written: --apply does it');
    else if (result.damagedBuckets === 0) out.line('nothing differs that should not');
    return;
  }
  const entries = result.indexEntriesAdded + result.indexEntriesRemoved;
  const [here, there] = [result.writtenHere, result.writtenThere].map((rows) => countOf(Number(rows), 'row'));
  out.line(`written: ${here} here, ${there} at others; ${entries} of indexes`);
  for (const pin of buckets.flatMap(({ givenUp }) => givenUp)) out.line(`given up: the pin ${pin}`);
  if (result.leftOut > 0) out.line(`${countOf(result.leftOut, 'bucket')} left out: run it again`);
}

function bucketRow(each: RepairBucket): string[] {
  const unreadable = `${each.unreadableHere}/${each.unreadableThere}`;
  const counts = [each.onlyHere, each.onlyThere, each.differing].map((count) => `${count}`);
  return [`${each.bucket}`, each.peerId, remedyTexts[each.remedy] ?? '', ...counts, unreadable];
}

const remedyTexts: Readonly<Record<RepairRemedy, string>> = {
  [RepairRemedy.UNSPECIFIED]: '',
  [RepairRemedy.NONE]: 'none here',
  [RepairRemedy.DIGEST]: 'digest',
  [RepairRemedy.RESTORE]: pc.green('restore'),
  [RepairRemedy.KEEP]: pc.green('keep'),
  [RepairRemedy.UNITE]: pc.yellow('unite'),
  [RepairRemedy.RESCUE]: pc.yellow('rescue'),
  [RepairRemedy.LEFT_OUT]: 'left out',
  [RepairRemedy.GIVE_UP]: pc.red('given up'),
};

/** A bar of percents that is set, not advanced. */
function percentOf({ out }: CliContext): { reach(percent: number): void; stop(): void } {
  const progress = progressOf(out, 100, '%');
  let reached = 0;
  return {
    reach(percent) {
      progress.advance(Math.max(0, percent - reached));
      reached = Math.max(reached, percent);
    },
    stop: () => progress.stop(),
  };
}
