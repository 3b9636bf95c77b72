import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import pc from 'picocolors';
import {
  type Alert,
  type GetClusterResponse,
  GetClusterResponseSchema,
  type Log,
  type Rebuild,
  Rebuild_Step,
} from '../../../gen/pinfold/v1/cluster_service_pb.ts';
import type { CliContext } from '../context.ts';
import { countOf, formatBytes } from '../output.ts';
import { peerColumns, peerRow } from './peer-rows.ts';

export async function showHealth(context: CliContext): Promise<void> {
  const { out } = context;
  const cluster = await (await context.clients()).cluster.getCluster({});
  if (out.json) {
    out.message(GetClusterResponseSchema, cluster);
    return;
  }
  for (const line of headLines(cluster)) out.line(line);
  out.line('');
  out.table(peerColumns, cluster.members.map(peerRow), 'no members');
  if (cluster.log !== undefined && cluster.log.holders.length > 0) {
    out.line('');
    out.table(['LOG KEPT FOR', 'LACKS', 'HEARD'], holderRows(cluster.log), 'nobody');
  }
  if (cluster.alerts.length === 0) return;
  out.line('');
  out.table(alertColumns, cluster.alerts.map(alertRow), 'no alerts');
}

export const alertColumns = ['ALERT', 'PEER', 'SINCE', 'WHAT'];

export function alertRow({ kind, peerId, since, message }: Alert): string[] {
  return [pc.red(kind), peerId, at(since), message];
}

function headLines({
  name,
  consensus,
  pins,
  digest,
  statuses,
  capabilities,
  leader,
  rebuild,
  log,
}: GetClusterResponse) {
  const { pinned = 0, pinning = 0, queued = 0, failed = 0 } = statuses ?? {};
  const lines = [
    `cluster    ${name}, ${consensus}, ${countOf(Number(pins), 'pin')}`,
    `digest     ${Buffer.from(digest).toString('hex').slice(0, 32)}`,
    `this node  ${pinned} pinned, ${pinning} pinning, ${queued} queued, ${failed} failed`,
  ];
  if (capabilities?.hasLeader) lines.push(`leader     ${leader === '' ? pc.red('none') : leader}`);
  if (log !== undefined) lines.push(`log        ${logText(log)}`);
  if (rebuild !== undefined) lines.push(`rebuild    ${pc.yellow(rebuildText(rebuild))}`);
  return lines;
}

const steps: Partial<Record<Rebuild_Step, string>> = {
  [Rebuild_Step.FILLING]: 'filling a new set of tables',
  [Rebuild_Step.INDEXING]: 'filled, indexing',
  [Rebuild_Step.CATCHING_UP]: 'filled, catching up with what was written meanwhile',
};

function rebuildText({ step, done, of, problem }: Rebuild): string {
  const percent = of === 0 ? 0 : Math.floor((100 * done) / of);
  return `${steps[step] ?? ''} (${percent} %)${problem === '' ? '' : `, waits: ${problem}`}`;
}

function logText({ batches, bytes, oldest }: Log): string {
  return `${batches} batches, ${formatBytes(Number(bytes))}${oldest === undefined ? '' : `, since ${at(oldest)}`}`;
}

function holderRows({ holders }: Log): string[][] {
  return holders.map(({ peerId, lacking, heard }) => [
    peerId,
    lacking === 0n ? 'nothing' : `${lacking} operations`,
    at(heard),
  ]);
}

function at(time: Timestamp | undefined): string {
  return time === undefined ? '' : new Date(timestampMs(time)).toISOString();
}
