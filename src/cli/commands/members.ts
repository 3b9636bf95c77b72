import type { Command } from 'commander';
import pc from 'picocolors';
import {
  AddPeerResponseSchema,
  type Peer,
  PeerSchema,
  RemovePeerResponseSchema,
  TrustPeerResponseSchema,
} from '../../../gen/pinfold/v1/peer_service_pb.ts';
import { usageError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import { countOf } from '../output.ts';
import type { Run } from '../run.ts';

/** `pinfold peers add|rm|trust`. */
export function memberCommands(peers: Command, run: Run): void {
  peers
    .command('add <address>')
    .description('connect with a peer, and remember its address')
    .addHelpText('after', '\nExample:\n  pinfold peers add /ip4/10.0.0.2/tcp/9096')
    .action(run((context, address: string) => addPeer(context, address)));
  peers
    .command('rm <peer>')
    .description('take a member off the list, at all peers; stop it first, or it comes back')
    .addHelpText('after', '\nExample:\n  pinfold peers rm 12D3KooW...')
    .action(run((context, peerId: string) => removePeer(context, peerId)));
  peers
    .command('trust')
    .description('show who trusts whom, or change whom this peer trusts: whose writes it takes')
    .option('--add <peer...>', 'trust these, too')
    .option('--remove <peer...>', 'trust these no more')
    .option('--only <peer...>', 'trust these and no others')
    .option('--none', 'trust nobody else')
    .option('--all', 'trust every peer of the cluster')
    .addHelpText(
      'after',
      `
Examples:
  pinfold peers trust
  pinfold peers trust --only 12D3KooWA... 12D3KooWB...
  pinfold peers trust --remove 12D3KooWB...`,
    )
    .action(run((context, flags: TrustFlags) => trustPeers(context, flags)));
}

interface TrustFlags {
  add?: string[];
  remove?: string[];
  only?: string[];
  none?: boolean;
  all?: boolean;
}

async function addPeer(context: CliContext, address: string): Promise<void> {
  const { out } = context;
  const response = await (await context.clients()).peers.addPeer({ address });
  if (out.json) out.message(AddPeerResponseSchema, response);
  else out.line(`connected with ${response.peerId}`);
}

async function removePeer(context: CliContext, peerId: string): Promise<void> {
  const { out } = context;
  const response = await (await context.clients()).peers.removePeer({ peerId });
  const { peer, allocatedPins, morePins, live } = response;
  if (live)
    out.note('warning: that peer is running and comes back with its next record; stop it, then remove it again');
  if (out.json) {
    out.message(RemovePeerResponseSchema, response);
    return;
  }
  out.line(`removed ${peerId}${peer?.name ? `  ${peer.name}` : ''}`);
  const pins = `${morePins ? 'at least ' : ''}${countOf(Number(allocatedPins), 'pin')}`;
  if (allocatedPins > 0n) out.line(`${pins} allocated to it: given to others after the grace period`);
  else out.line('no pin is allocated to it');
}

async function trustPeers(context: CliContext, flags: TrustFlags): Promise<void> {
  const { out } = context;
  const { peers } = await context.clients();
  if (Object.keys(flags).some((flag) => ['add', 'remove', 'only', 'none', 'all'].includes(flag))) {
    const response = await peers.trustPeer(changeOf(flags));
    if (out.json) {
      out.message(TrustPeerResponseSchema, response);
      return;
    }
  }
  const members = (await peers.listPeers({})).peers;
  if (out.json) for (const peer of members) out.message(PeerSchema, peer);
  else showTrust(context, members);
}

function changeOf({ add = [], remove = [], only, none, all }: TrustFlags) {
  const replacing = [only, none, all].filter((flag) => flag !== undefined).length;
  if (replacing > 1) throw usageError('--only, --none or --all: one of them');
  if (all) return { replace: { all: true }, add, remove };
  if (only !== undefined || none) return { replace: { peerIds: only ?? [] }, add, remove };
  return { add, remove };
}

/** Wider tables are hard to read. */
const columnsMax = 12;

/** A line for each member: whom it trusts; then who will not see what is written here. */
function showTrust({ out }: CliContext, members: readonly Peer[]): void {
  if (members.length > columnsMax) {
    const rows = members.map((peer) => [labelOf(peer), trustsText(peer, members), gets(peer)]);
    out.table(['PEER', 'TRUSTS', 'GETS WRITES OF THIS ONE'], rows, 'no peers');
  } else {
    const head = ['TRUSTS', ...members.map(labelOf), 'GETS WRITES OF THIS ONE'];
    out.table(
      head,
      members.map((peer) => [labelOf(peer), ...members.map((other) => cell(peer, other)), gets(peer)]),
      'no peers',
    );
  }
  const unseen = members.filter((peer) => peer.unseen);
  if (unseen.length > 0) out.note(`${pc.yellow('not seen by')} ${unseen.map(({ peerId }) => peerId).join(', ')}`);
}

function labelOf({ name, peerId }: Peer): string {
  return name === '' ? peerId.slice(-8) : `${name} ${peerId.slice(-6)}`;
}

function cell(peer: Peer, other: Peer): string {
  if (peer === other) return '-';
  if (peer.trusts === undefined) return '?';
  return peer.trusts.all || peer.trusts.peerIds.includes(other.peerId) ? pc.green('yes') : pc.red('no');
}

function trustsText({ trusts }: Peer, members: readonly Peer[]): string {
  if (trusts === undefined) return '?';
  if (trusts.all) return 'all';
  const listed = members.filter(({ peerId }) => trusts.peerIds.includes(peerId)).map(labelOf);
  const others = trusts.peerIds.length - listed.length;
  return [...listed, ...(others > 0 ? [`${others} that are no members`] : [])].join(', ') || 'nobody else';
}

function gets({ self, unseen }: Peer): string {
  if (self) return '-';
  return unseen ? pc.red('no') : pc.green('yes');
}
