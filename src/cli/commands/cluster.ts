import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Command } from 'commander';
import pc from 'picocolors';
import { GetClusterResponseSchema } from '../../../gen/pinfold/v1/cluster_service_pb.ts';
import { type Peer, PeerHealth, PeerSchema } from '../../../gen/pinfold/v1/peer_service_pb.ts';
import type { CliContext } from '../context.ts';
import { formatBytes } from '../output.ts';
import type { Run } from '../run.ts';
import { memberCommands } from './members.ts';

export function clusterCommands(program: Command, run: Run): void {
  program
    .command('id')
    .description('show the peer that answers')
    .action(run((context) => showPeer(context, '')));

  const peers = program.command('peers').description('show and change the members of the cluster');
  peers
    .command('ls')
    .description('list the members')
    .action(run((context) => listPeers(context)));
  peers
    .command('get <peer>')
    .description('show one member')
    .action(run((context, peerId: string) => showPeer(context, peerId)));
  memberCommands(peers, run);

  program
    .command('health')
    .description('show how the cluster is: members, alerts, what waits and what failed')
    .action(run((context) => showHealth(context)));
}

const healths: Partial<Record<PeerHealth, string>> = {
  [PeerHealth.UP]: pc.green('up'),
  [PeerHealth.SUSPECT]: pc.yellow('suspect'),
  [PeerHealth.DOWN]: pc.red('down'),
  [PeerHealth.JOINING]: pc.yellow('joining'),
};

const healthText = (health: PeerHealth): string => healths[health] ?? '';

async function listPeers(context: CliContext): Promise<void> {
  const { out } = context;
  const { peers } = await (await context.clients()).peers.listPeers({});
  if (out.json) for (const peer of peers) out.message(PeerSchema, peer);
  else out.table(['PEER', 'NAME', 'HEALTH', 'FREE', 'VERSION'], peers.map(peerRow), 'no peers');
}

function peerRow(peer: Peer): string[] {
  const free = metricOf(peer, 'freespace');
  return [
    peer.peerId,
    peer.self ? `${peer.name} (this one)` : peer.name,
    healthText(peer.health),
    free === undefined ? '' : formatBytes(free),
    peer.version,
  ];
}

function metricOf(peer: Peer, name: string): number | undefined {
  const metric = peer.metrics.find((each) => each.name === name);
  return metric?.value.case === 'number' ? metric.value.value : undefined;
}

async function showPeer(context: CliContext, peerId: string): Promise<void> {
  const { out } = context;
  const { peer } = await (await context.clients()).peers.getPeer({ peerId });
  if (peer === undefined) return;
  if (out.json) {
    out.message(PeerSchema, peer);
    return;
  }
  out.line(`peer       ${peer.peerId}`);
  out.line(`name       ${peer.name}`);
  out.line(`health     ${healthText(peer.health)}`);
  out.line(`version    ${peer.version}`);
  for (const address of peer.addresses) out.line(`address    ${address}`);
  if (peer.ipfs?.peerId) out.line(`ipfs       ${peer.ipfs.peerId}  ${peer.ipfs.agent}`);
  for (const address of peer.ipfs?.addresses ?? []) out.line(`           ${address}`);
  if (peer.ipfs?.error) out.line(`ipfs       ${pc.red(peer.ipfs.error)}`);
}

async function showHealth(context: CliContext): Promise<void> {
  const { out } = context;
  const cluster = await (await context.clients()).cluster.getCluster({});
  if (out.json) {
    out.message(GetClusterResponseSchema, cluster);
    return;
  }
  const { statuses, capabilities } = cluster;
  out.line(`cluster    ${cluster.name}, ${cluster.consensus}, ${cluster.pins} pins`);
  out.line(`digest     ${Buffer.from(cluster.digest).toString('hex').slice(0, 32)}`);
  out.line(
    `this node  ${statuses?.pinned ?? 0} pinned, ${statuses?.pinning ?? 0} pinning, ${statuses?.queued ?? 0} queued, ${statuses?.failed ?? 0} failed`,
  );
  if (capabilities?.hasLeader) out.line(`leader     ${cluster.leader === '' ? pc.red('none') : cluster.leader}`);
  out.line('');
  out.table(['PEER', 'NAME', 'HEALTH', 'FREE', 'VERSION'], cluster.members.map(peerRow), 'no members');
  if (cluster.alerts.length === 0) return;
  out.line('');
  out.table(
    ['ALERT', 'PEER', 'SINCE', 'WHAT'],
    cluster.alerts.map((alert) => [
      pc.red(alert.kind),
      alert.peerId,
      alert.since === undefined ? '' : new Date(timestampMs(alert.since)).toISOString(),
      alert.message,
    ]),
    'no alerts',
  );
}
