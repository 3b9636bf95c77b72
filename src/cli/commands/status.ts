import type { Command } from 'commander';
import { PinStatusSchema } from '../../../gen/pinfold/v1/pin_pb.ts';
import { type WatchEvent, WatchPinsResponseSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { cidsFrom } from '../cids.ts';
import { CliError, usageError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import { type FilterFlags, filterFlags, filterFrom, timeAgo } from '../filter-flags.ts';
import { countOf } from '../output.ts';
import { cidOf, pathHelp } from '../paths.ts';
import { limitFrom } from '../pin-flags.ts';
import type { Run } from '../run.ts';
import { peerStatusLine, pinStatusLines, statusFromName } from '../statuses.ts';

interface StatusFlags extends FilterFlags {
  status?: string;
  peer?: string[];
  olderThan?: string;
  newerThan?: string;
  limit?: string;
  watch?: boolean;
}

export function statusCommands(program: Command, run: Run): void {
  filterFlags(program.command('status [cid]'))
    .description('show how far every peer is with a pin, or with all')
    .option('-n, --namespace <name>', 'whose pins; may be said several times', eachOf)
    .option('--filter, --status <status,...>', 'only pins with one of these statuses on some peer')
    .option('--peer <peer>', 'only the word of this peer; may be said several times', eachOf)
    .option('--older-than <time>', 'only pins with such a status for longer: 90s, 30m, 12h, 30d')
    .option('--newer-than <time>', 'only pins with such a status for less')
    .option('--limit <n>', 'at most so many pins')
    .option('-w, --watch', 'go on and show every change; with --status: to and from these')
    .addHelpText(
      'after',
      `${pathHelp}

Examples:
  pinfold status bafybei...
  pinfold status --status pin_error,unpin_error
  pinfold status --status pin_error --older-than 1h --meta owner=alice
  pinfold status --status pin_queued --peer 12D3KooW...
  pinfold status bafybei... --watch
  pinfold status --status pin_error --watch`,
    )
    .action(
      run((context, cid: string | undefined, flags: StatusFlags) =>
        flags.watch === true ? watch(context, cid, flags) : show(context, cid, flags),
      ),
    );

  program
    .command('recover [cid...]')
    .description('try again now what failed: these CIDs (or one a line from standard input with -), or all')
    .option('-n, --namespace <name>', 'whose pins', '')
    .addHelpText(
      'after',
      `${pathHelp}\n\nExamples:\n  pinfold recover\n  pinfold recover bafybei...\n  pinfold recover - < cids.txt`,
    )
    .action(run((context, cids: string[], flags: { namespace: string }) => recover(context, cids, flags.namespace)));
}

/** A flag that may be said several times, and leaves the argument behind it alone. */
const eachOf = (value: string, before: string[] = []) => [...before, value];

async function show(context: CliContext, text: string | undefined, flags: StatusFlags): Promise<void> {
  const { out } = context;
  const { pins } = await context.clients();
  if (text !== undefined) {
    if (hasMoreThanPeers(flags)) throw usageError('of one CID only --namespace, --peer and --watch can be said');
    const { cid } = await cidOf(context, { pins }, text);
    const [namespace = ''] = flags.namespace ?? [];
    const { status } = await pins.getPinStatus({ cid, namespace, peerIds: flags.peer ?? [] });
    if (status === undefined) return;
    if (out.json) out.message(PinStatusSchema, status);
    else for (const line of pinStatusLines(status)) out.line(line);
    return;
  }
  const query = {
    ...wordsFrom(flags),
    filter: filterFrom(flags),
    pageSize: limitFrom(flags.limit),
    ...(flags.newerThan === undefined ? {} : { sinceAfter: timeAgo(flags.newerThan) }),
    ...(flags.olderThan === undefined ? {} : { sinceBefore: timeAgo(flags.olderThan) }),
  };
  let shown = 0;
  for await (const page of pins.listPinStatuses(query)) {
    for (const status of page.statuses) {
      shown++;
      if (out.json) out.message(PinStatusSchema, status);
      else for (const line of pinStatusLines(status)) out.line(line);
    }
    for (const { peerId, message } of page.errors) out.note(`${peerId} did not answer: ${message}`);
  }
  out.note(shown === 0 ? 'no pins match' : countOf(shown, 'pin'));
}

async function watch(context: CliContext, text: string | undefined, flags: StatusFlags): Promise<void> {
  const { out } = context;
  const { pins } = await context.clients();
  if (flags.olderThan !== undefined || flags.newerThan !== undefined || flags.limit !== undefined) {
    throw usageError('--older-than, --newer-than and --limit are of a listing, and do not go with --watch');
  }
  const filter = {
    ...filterFrom(flags),
    ...(text === undefined ? {} : { cids: [(await cidOf(context, { pins }, text)).cid] }),
  };
  for await (const message of pins.watchPins({ ...wordsFrom(flags), filter })) {
    if (out.json) out.message(WatchPinsResponseSchema, message);
    else for (const event of message.events) out.line(eventLine(event));
    if (message.caughtUp) out.note('what there was has been shown; changes follow (Ctrl-C ends)');
  }
}

const wordsFrom = ({ status, peer }: StatusFlags) => ({
  statuses: status?.split(',').map((name) => statusFromName(name.trim())) ?? [],
  peerIds: peer ?? [],
});

const hasMoreThanPeers = ({ namespace: _, peer: _peer, watch: _watch, ...rest }: StatusFlags) =>
  Object.values(rest).some((flag) => flag !== undefined);

function eventLine({ event }: WatchEvent): string {
  switch (event.case) {
    case 'pinned':
      return `pin     ${event.value.cid}  ${event.value.options?.name ?? ''}`.trimEnd();
    case 'unpinned':
      return `unpin   ${event.value.cid}`;
    case 'status':
      return `status  ${event.value.cid}  ${event.value.peer === undefined ? '' : peerStatusLine(event.value.peer)}`;
    case 'reset':
      return `reset   ${event.value.peerId} begins anew`;
    case 'peerLost':
      return `lost    ${event.value.peerId}  ${event.value.message}`;
    case undefined:
      return 'something that this version does not know';
  }
}

/** Calls take so many CIDs each; anything more is split. */
const cidsPerCall = 500;

async function recover(context: CliContext, args: string[], namespace: string): Promise<void> {
  const { out } = context;
  const { pins } = await context.clients();
  let queued = 0;
  let unheard = 0;
  async function call(cids: string[]): Promise<void> {
    for await (const { statuses, errors } of pins.recoverPins({ cids, namespace })) {
      for (const status of statuses) {
        queued++;
        if (out.json) out.message(PinStatusSchema, status);
        else
          out.line(`${status.cid}  queued on ${status.peers.map((peer) => peer.peerName || peer.peerId).join(', ')}`);
      }
      for (const { peerId, message } of errors) {
        unheard++;
        out.note(`${peerId} did not answer: ${message}`);
      }
    }
  }
  if (args.length === 0) await call([]);
  else {
    let cids: string[] = [];
    for await (const text of cidsFrom(args[0] === '-' ? [] : args)) {
      if (cids.push((await cidOf(context, { pins }, text)).cid) < cidsPerCall) continue;
      await call(cids);
      cids = [];
    }
    if (cids.length > 0) await call(cids);
  }
  out.note(queued === 0 ? 'nothing had failed' : `${queued} put at the front of the queue`);
  if (unheard > 0)
    throw new CliError(`${unheard} peers did not answer; what failed there was not retried`, 'SOME_FAILED');
}
