import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { Command } from 'commander';
import pc from 'picocolors';
import {
  type ExplainedPeer,
  type ExplainPinResponse,
  ExplainPinResponseSchema,
} from '../../../gen/pinfold/v1/explain_pb.ts';
import type { PeerPinStatus } from '../../../gen/pinfold/v1/pin_pb.ts';
import { errorClasses } from '../../model/status.ts';
import type { CliContext } from '../context.ts';
import { countOf } from '../output.ts';
import { cidOf, pathHelp } from '../paths.ts';
import type { Run } from '../run.ts';
import { statusText } from '../statuses.ts';

export function explainCommand(pin: Command, run: Run): void {
  pin
    .command('explain <cid>')
    .description('say why a pin lies where it does, where it would be placed now, and what it waits for at each peer')
    .option('-n, --namespace <name>', 'whose pin', '')
    .addHelpText(
      'after',
      `${pathHelp}\n\nExamples:\n  pinfold pin explain bafybei...\n  pinfold pin explain bafybei... -n team --output json`,
    )
    .action(run((context, cid: string, flags: { namespace: string }) => explain(context, cid, flags.namespace)));
}

async function explain(context: CliContext, text: string, namespace: string): Promise<void> {
  const { out } = context;
  const clients = await context.clients();
  const { cid } = await cidOf(context, clients, text);
  const explained = await clients.pins.explainPin({ cid, namespace });
  if (out.json) {
    out.message(ExplainPinResponseSchema, explained);
    return;
  }
  out.line(`${pc.bold(cid)}  ${explained.pin?.options?.name ?? ''}`.trimEnd());
  for (const line of placementLines(explained)) out.line(line);
  for (const peer of explained.peers) {
    out.line('');
    for (const line of peerLines(peer)) out.line(line);
  }
}

function placementLines({ pin, peers, placedAgain, placedAnew, problem }: ExplainPinResponse): string[] {
  if (pin === undefined) return ['not in the pinset any more; nodes still remove it'];
  const { replicationMin, replicationMax } = pin.options ?? {};
  if (replicationMin === -1) return ['everywhere: no peers are chosen'];
  const names = new Map(peers.map(({ peerId, peerName }) => [peerId, peerName === '' ? peerId : peerName]));
  const named = (peerIds: readonly string[]) => peerIds.map((peerId) => names.get(peerId) ?? peerId).join(', ');
  return [
    `lies on       ${named(pin.allocations)} (${countOf(pin.allocations.length, 'peer')}; ${replicationMin} to ${replicationMax} are wanted)`,
    `written again ${problem === '' ? named(placedAgain) : pc.red(problem)}`,
    `were it new   ${named(placedAnew)}`.trimEnd(),
  ];
}

function peerLines({ peerId, peerName, allocated, rank, why, status, work }: ExplainedPeer): string[] {
  const place = rank === 0 ? '' : `  number ${rank}`;
  const lines = [
    `${pc.bold(peerName === '' ? peerId : peerName)}${allocated ? '  allocated' : ''}${place}`,
    `  ${why}`,
  ];
  if (status !== undefined) lines.push(`  ${statusLine(status)}`);
  if (work !== undefined) lines.push(`  waits for ${work.waitsFor}`);
  return lines;
}

function statusLine({ status, since, attempts, errorClass, error, retryAt }: PeerPinStatus): string {
  const parts = [
    statusText(status) + (since === undefined ? '' : ` since ${timestampDate(since).toISOString()}`),
    attempts === 0 ? '' : `${countOf(attempts, 'attempt')} failed`,
    [errorClasses[errorClass - 1] ?? '', error].filter((text) => text !== '').join(': '),
    retryAt === undefined ? '' : `next attempt at ${timestampDate(retryAt).toISOString()}`,
  ];
  return parts.filter((part) => part !== '').join('; ');
}
