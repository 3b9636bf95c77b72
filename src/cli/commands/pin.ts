import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { Command } from 'commander';
import { type Pin, PinMode, PinOptionsSchema, PinSchema } from '../../../gen/pinfold/v1/pin_pb.ts';
import {
  ListPinsRequestSchema,
  PinOrder,
  ReplacePinResponseSchema,
  WriteOperationSchema,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { type Ack, ackFlag, ackFrom, isLess, levelFields, levelText, noteLess, unpinAckFrom } from '../ack-flag.ts';
import { type BulkOperation, type BulkResult, writeInBulk } from '../bulk.ts';
import { cidsFrom } from '../cids.ts';
import { CliError, usageError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import { type FilterFlags, filterFlags, filterFrom } from '../filter-flags.ts';
import { countOf } from '../output.ts';
import { cidOf, type NamedCid, pathFailure, pathHelp } from '../paths.ts';
import { limitFrom, type PinFlags, pinFlags, pinOptionsFrom } from '../pin-flags.ts';
import { progressOf } from '../progress.ts';
import type { Run } from '../run.ts';
import { noteUnseen } from '../unseen.ts';
import { explainCommand } from './explain.ts';

export function pinCommands(program: Command, run: Run): void {
  const pin = program.command('pin').description('change and show the pinset');

  ackFlag(pinFlags(pin.command('add [cid...]')))
    .description('pin CIDs, or what paths lead to: from the arguments, or one a line from standard input')
    .addHelpText(
      'after',
      `${pathHelp}

Examples:
  pinfold pin add bafybei... --name backups/monday
  pinfold pin add bafybei... --replication 3 --expires-in 30d --meta owner=alice
  pinfold pin add /ipfs/bafybei.../docs/readme.md
  pinfold pin add /ipns/docs.example.org --name docs
  pinfold pin add bafybei... --ack replicated=2       answered when two peers have it on their disks
  pinfold pin add bafybei... -r 2 --ack pinned=2      ... when two IPFS nodes hold the content
  pinfold pin add < cids.txt`,
    )
    .action(run((context, cids: string[], flags: AddFlags) => addPins(context, cids, flags)));

  ackFlag(pin.command('rm [cid...]'))
    .description('unpin CIDs: from the arguments, or one a line from standard input')
    .option('-n, --namespace <name>', 'whose pins', '')
    .addHelpText(
      'after',
      `${pathHelp}\n\nExamples:\n  pinfold pin rm bafybei...\n  pinfold pin rm bafybei... --ack replicated=2`,
    )
    .action(run((context, cids: string[], flags: RemoveFlags) => removePins(context, cids, flags)));

  filterFlags(pin.command('ls'))
    .description('list the pinset')
    .option('-n, --namespace <name...>', 'only of these namespaces')
    .option('--order <order>', 'key, name, created or newest', 'key')
    .option('--limit <n>', 'at most so many')
    .addHelpText('after', '\nExample:\n  pinfold pin ls --name-prefix backups/ --order newest --limit 20')
    .action(run((context, flags: ListFlags) => listPins(context, flags)));

  pin
    .command('get <cid>')
    .description('show one pin, by its CID or a path to it')
    .option('-n, --namespace <name>', 'whose pin', '')
    .addHelpText(
      'after',
      `${pathHelp}\n\nExamples:\n  pinfold pin get bafybei...\n  pinfold pin get /ipfs/bafybei.../docs`,
    )
    .action(run((context, cid: string, flags: { namespace: string }) => getPin(context, cid, flags.namespace)));

  explainCommand(pin, run);

  ackFlag(pin.command('replace <from> <to>'))
    .description('pin <to> with the options of <from> and unpin <from>, in one step')
    .option('-n, --namespace <name>', 'whose pins', '')
    .option('--name <name>', 'a new name')
    .addHelpText(
      'after',
      `${pathHelp}\n
Examples:
  pinfold pin replace bafy...old bafy...new --name site-v2
  pinfold pin replace bafy...old /ipns/docs.example.org
  pinfold pin replace bafy...old bafy...new --ack pinned=2`,
    )
    .action(run((context, from: string, to: string, flags: ReplaceFlags) => replacePin(context, from, to, flags)));
}

type AddFlags = PinFlags & { ack?: string };

async function addPins(context: CliContext, cids: string[], flags: AddFlags): Promise<void> {
  const options = create(PinOptionsSchema, pinOptionsFrom(flags));
  const { origin: origins = [] } = flags;
  await bulk(context, { texts: cids, origins }, ackFrom(flags.ack), (cid) => ({
    operation: { case: 'pin', value: { cid, namespace: flags.namespace, options } },
  }));
}

interface RemoveFlags {
  namespace: string;
  ack?: string;
}

async function removePins(context: CliContext, cids: string[], { namespace, ack }: RemoveFlags): Promise<void> {
  await bulk(context, { texts: cids, origins: [] }, unpinAckFrom(ack), (cid) => ({
    operation: { case: 'unpin', value: { cid, namespace } },
  }));
}

async function bulk(
  context: CliContext,
  { texts, origins }: { texts: string[]; origins: string[] },
  ack: Ack | undefined,
  operationOf: (cid: string) => MessageInitShape<typeof WriteOperationSchema>,
): Promise<void> {
  const { out } = context;
  const clients = await context.clients();
  async function* operations(): AsyncIterable<BulkOperation> {
    for await (const text of cidsFrom(texts)) {
      const named = await cidOf(context, clients, text, origins).catch((error) => refusedPath(text, error));
      if (named !== undefined) yield { ...named, operation: create(WriteOperationSchema, operationOf(named.cid)) };
    }
  }
  const progress = progressOf(out, texts.length > 0 ? texts.length : undefined, 'operations');
  let failed = 0;
  let done = 0;
  let less = 0;
  const isDone = (named: Partial<NamedCid>, failure: BulkResult['failure']) => {
    done++;
    progress.advance(1);
    if (failure === undefined) return;
    failed++;
    const { reason, message } = failure;
    if (out.json) out.object({ ...named, error: reason, message });
    else progress.line(`${named.path ?? named.cid}  ${message} (${reason})`);
  };
  const refusedPath = (path: string, error: unknown) => {
    const failure = pathFailure(error);
    if (failure === undefined) throw error;
    isDone({ path }, failure);
    return undefined;
  };
  const unseen = new Set<string>();
  try {
    for await (const result of writeInBulk(clients, operations(), ack)) {
      const { failure, unseenBy, level, acknowledgedBy, ...named } = result;
      isDone(named, failure);
      if (failure !== undefined) continue;
      for (const peerId of unseenBy) unseen.add(peerId);
      if (isLess(level, ack)) less++;
      const reached = levelFields(level, acknowledgedBy);
      if (out.json) out.object({ ...named, ...reached, ...(unseenBy.length > 0 ? { unseenBy } : {}) });
      else progress.line(`${named.cid}  ${levelText(level)}`);
    }
  } finally {
    progress.stop();
  }
  noteUnseen(out, unseen);
  noteLess(out, less, ack);
  if (failed > 0) throw new CliError(`${failed} of ${done} operations were refused; see above`, 'SOME_FAILED');
}

interface ListFlags extends FilterFlags {
  order: string;
  limit?: string;
}

const orders: Record<string, PinOrder> = {
  key: PinOrder.KEY,
  name: PinOrder.NAME,
  created: PinOrder.CREATED,
  newest: PinOrder.CREATED_DESCENDING,
};

async function listPins(context: CliContext, flags: ListFlags): Promise<void> {
  const { out } = context;
  const order = orders[flags.order];
  if (order === undefined) throw usageError(`--order must be one of ${Object.keys(orders).join(', ')}`);
  const limit = limitFrom(flags.limit);
  const request = create(ListPinsRequestSchema, {
    filter: filterFrom(flags),
    order,
    pageSize: limit,
  });
  const clients = await context.clients();
  let shown = 0;
  for await (const { pins } of clients.pins.listPins(request)) {
    if (out.json) for (const pin of pins) out.message(PinSchema, pin);
    else for (const pin of pins) out.line(pinLine(pin));
    shown += pins.length;
  }
  out.note(shown === 0 ? 'no pins' : countOf(shown, 'pin'));
}

function pinLine(pin: Pin): string {
  const where = pin.allocations.length === 0 ? 'everywhere' : countOf(pin.allocations.length, 'peer');
  const namespace = pin.namespace === 'default' ? '' : `${pin.namespace}/`;
  return `${pin.cid}  ${where.padEnd(10)}  ${namespace}${pin.options?.name ?? ''}`.trimEnd();
}

async function getPin(context: CliContext, text: string, namespace: string): Promise<void> {
  const clients = await context.clients();
  const { cid } = await cidOf(context, clients, text);
  const { pin } = await clients.pins.getPin({ cid, namespace });
  if (pin !== undefined) showPin(context, pin);
}

export function showPin({ out }: CliContext, pin: Pin): void {
  if (out.json) {
    out.message(PinSchema, pin);
    return;
  }
  const { options } = pin;
  const rows: [string, string][] = [
    ['cid', pin.cid],
    ['name', options?.name ?? ''],
    ['namespace', pin.namespace],
    ['mode', options?.mode === PinMode.DIRECT ? 'direct' : 'recursive'],
    [
      'replication',
      options?.replicationMin === -1 ? 'everywhere' : `${options?.replicationMin} to ${options?.replicationMax}`,
    ],
    ['allocations', pin.allocations.join(' ')],
    ['metadata', (options?.metadata ?? []).map(({ key, value }) => `${key}=${value}`).join(' ')],
    ['created', pin.created === undefined ? '' : timestampDate(pin.created).toISOString()],
    ['expires', options?.expires === undefined ? 'never' : timestampDate(options.expires).toISOString()],
    ['replaced', pin.updatedFrom],
  ];
  for (const [name, value] of rows) if (value !== '') out.line(`${name.padEnd(12)} ${value}`);
}

interface ReplaceFlags {
  namespace: string;
  name?: string;
  ack?: string;
}

async function replacePin(context: CliContext, from: string, to: string, flags: ReplaceFlags): Promise<void> {
  const { namespace, name } = flags;
  const { out } = context;
  const ack = ackFrom(flags.ack);
  const options = { ...(name === undefined ? {} : { name }), ...(ack === undefined ? {} : { ack }) };
  const clients = await context.clients();
  const { cid: fromCid } = await cidOf(context, clients, from);
  const { cid: toCid } = await cidOf(context, clients, to);
  const answer = await clients.pins.replacePin({ fromCid, toCid, namespace, ...options });
  const { pin, unseenBy, level } = answer;
  if (ack !== undefined && out.json) out.message(ReplacePinResponseSchema, answer);
  else if (pin !== undefined) showPin(context, pin);
  if (ack !== undefined && !out.json) out.line(`${'level'.padEnd(12)} ${levelText(level)}`);
  noteUnseen(out, unseenBy);
  if (isLess(level, ack)) noteLess(out, 1, ack);
}
