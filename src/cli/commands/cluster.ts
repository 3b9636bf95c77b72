import type { Command } from 'commander';
import pc from 'picocolors';
import { PeerSchema } from '../../../gen/pinfold/v1/peer_service_pb.ts';
import type { CliContext } from '../context.ts';
import type { Run } from '../run.ts';
import { showHealth } from './health.ts';
import { memberCommands } from './members.ts';
import { healthText, ipfsStateText, peerColumns, peerRow } from './peer-rows.ts';
import { healthCommands } from './watch-health.ts';

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

  const health = program.command('health');
  health
    .description(
      'show how the cluster is: members, alerts, what waits and what failed, how far a rebuild is, for whom the log is kept',
    )
    .action(run((context) => showHealth(context)));
  healthCommands(health, run);
}

async function listPeers(context: CliContext): Promise<void> {
  const { out } = context;
  const { peers } = await (await context.clients()).peers.listPeers({});
  if (out.json) for (const peer of peers) out.message(PeerSchema, peer);
  else out.table(peerColumns, peers.map(peerRow), 'no peers');
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
  if (peer.draining) out.line(`draining   ${pc.yellow('yes: nothing new goes there')}`);
  out.line(`version    ${peer.version}`);
  for (const address of peer.addresses) out.line(`address    ${address}`);
  if (peer.ipfs?.peerId) out.line(`ipfs       ${peer.ipfs.peerId}  ${peer.ipfs.agent}`);
  for (const address of peer.ipfs?.addresses ?? []) out.line(`           ${address}`);
  const problem = [ipfsStateText(peer.ipfs?.state), peer.ipfs?.error].filter(Boolean).join(': ');
  if (peer.ipfs?.error) out.line(`ipfs       ${pc.red(problem)}`);
}
