import type { Command } from 'commander';
import { PinStatusSchema } from '../../../gen/pinfold/v1/pin_pb.ts';
import { type WatchEvent, WatchPinsResponseSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { cidsFrom } from '../cids.ts';
import { CliError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import { limitFrom } from '../pin-flags.ts';
import type { Run } from '../run.ts';
import { peerStatusLine, pinStatusLines, statusFromName } from '../statuses.ts';

interface StatusFlags {
  namespace: string;
  filter?: string;
  limit?: string;
  watch?: boolean;
}

export function statusCommands(program: Command, run: Run): void {
  program
    .command('status [cid]')
    .description('show how far every peer is with a pin, or with all')
    .option('-n, --namespace <name>', 'whose pin', '')
    .option('--filter <status,...>', 'only pins with one of these statuses on some peer')
    .option('--limit <n>', 'at most so many pins')
    .option('-w, --watch', 'go on and show every change')
    .addHelpText(
      'after',
      '\nExamples:\n  pinfold status bafybei...\n  pinfold status --filter pin_error,unpin_error\n  pinfold status bafybei... --watch',
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
      '\nExamples:\n  pinfold recover\n  pinfold recover bafybei...\n  pinfold recover - < cids.txt',
    )
    .action(run((context, cids: string[], flags: { namespace: string }) => recover(context, cids, flags.namespace)));
}

async function show(context: CliContext, cid: string | undefined, flags: StatusFlags): Promise<void> {
  const { out } = context;
  const { pins } = await context.clients();
  if (cid !== undefined) {
    const { status } = await pins.getPinStatus({ cid, namespace: flags.namespace });
    if (status === undefined) return;
    if (out.json) out.message(PinStatusSchema, status);
    else for (const line of pinStatusLines(status)) out.line(line);
    return;
  }
  const statuses = flags.filter?.split(',').map((name) => statusFromName(name.trim())) ?? [];
  const filter = flags.namespace === '' ? {} : { namespaces: [flags.namespace] };
  let shown = 0;
  for await (const page of pins.listPinStatuses({ filter, statuses, pageSize: limitFrom(flags.limit) })) {
    for (const status of page.statuses) {
      shown++;
      if (out.json) out.message(PinStatusSchema, status);
      else for (const line of pinStatusLines(status)) out.line(line);
    }
    for (const { peerId, message } of page.errors) out.note(`${peerId} did not answer: ${message}`);
  }
  out.note(shown === 0 ? 'no pins match' : `${shown} pins`);
}

async function watch(context: CliContext, cid: string | undefined, flags: StatusFlags): Promise<void> {
  const { out } = context;
  const { pins } = await context.clients();
  const filter = {
    ...(flags.namespace === '' ? {} : { namespaces: [flags.namespace] }),
    ...(cid === undefined ? {} : { cids: [cid] }),
  };
  for await (const message of pins.watchPins({ filter })) {
    if (out.json) out.message(WatchPinsResponseSchema, message);
    else for (const event of message.events) out.line(eventLine(event));
    if (message.caughtUp) out.note('what there was has been shown; changes follow (Ctrl-C ends)');
  }
}

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
    for await (const cid of cidsFrom(args[0] === '-' ? [] : args)) {
      if (cids.push(cid) < cidsPerCall) continue;
      await call(cids);
      cids = [];
    }
    if (cids.length > 0) await call(cids);
  }
  out.note(queued === 0 ? 'nothing had failed' : `${queued} put at the front of the queue`);
  if (unheard > 0)
    throw new CliError(`${unheard} peers did not answer; what failed there was not retried`, 'SOME_FAILED');
}
