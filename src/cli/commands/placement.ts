import type { Command } from 'commander';
import pc from 'picocolors';
import {
  ApplyRebalanceResponseSchema,
  PlanRebalanceResponseSchema,
} from '../../../gen/pinfold/v1/cluster_service_pb.ts';
import {
  DrainPeerResponseSchema,
  PlanDrainResponseSchema,
  UndrainPeerResponseSchema,
} from '../../../gen/pinfold/v1/peer_service_pb.ts';
import type { PlacementEvent, PlacementPlan } from '../../../gen/pinfold/v1/placement_pb.ts';
import { CliError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import { countOf, formatBytes } from '../output.ts';
import { progressOf } from '../progress.ts';
import type { Run } from '../run.ts';

const drainHelp = `
Without --apply it shows where the pins would go, and changes nothing. With it the peer takes nothing new, and the cluster moves its
pins to others; each copy there is given up only when there are enough elsewhere, so complete copies never become fewer than the pin's
replication factor (min). The command follows until all are gone. Interrupted, the work goes on; run it again to follow it.
Pins that are meant for every peer stay until the peer is stopped and removed ("pinfold peers rm").

Examples:
  pinfold drain 12D3KooW...
  pinfold drain 12D3KooW... --apply
  pinfold undrain 12D3KooW...`;

const rebalanceHelp = `
Shows which moves would give each peer its share of the pins, by the space that it has, and changes nothing. With --apply the moves are
begun; each old copy is given up only when there are enough elsewhere. Interrupted, what was begun is finished and the rest stays as it
is; run it again. Pins are never spread over fewer regions or zones than before.

Examples:
  pinfold rebalance
  pinfold rebalance --apply`;

/** `pinfold drain|undrain|rebalance`. */
export function placementCommands(program: Command, run: Run): void {
  program
    .command('drain <peer>')
    .description('show where the pins of a peer would go, and move them there, before it leaves')
    .option('--apply', 'do it')
    .addHelpText('after', drainHelp)
    .action(
      run((context, peerId: string, { apply = false }: { apply?: boolean }) =>
        apply ? drain(context, peerId) : planDrain(context, peerId),
      ),
    );
  program
    .command('undrain <peer>')
    .description('let a peer that was drained take pins again')
    .action(run((context, peerId: string) => undrain(context, peerId)));
  program
    .command('rebalance')
    .description('show which pins would move to even out what peers have, and move them')
    .option('--apply', 'do it')
    .addHelpText('after', rebalanceHelp)
    .action(run((context, { apply = false }: { apply?: boolean }) => rebalance(context, apply)));
}

async function planDrain(context: CliContext, peerId: string): Promise<void> {
  const { out } = context;
  const { peers } = await context.clients();
  const plan = await planOf(context, peers.planDrain({ peerId }), (response) =>
    out.message(PlanDrainResponseSchema, response),
  );
  if (plan === undefined) return;
  showPlan(context, plan);
  out.line(plan.pins === 0n ? 'no pin would move' : `${countOf(Number(plan.pins), 'pin')} would move: --apply does it`);
}

async function drain(context: CliContext, peerId: string): Promise<void> {
  const { out } = context;
  const { peers } = await context.clients();
  let total: number | undefined;
  let before = 0;
  let progress = progressOf(out, undefined, 'pins');
  try {
    for await (const response of peers.drainPeer({ peerId })) {
      if (out.json) out.message(DrainPeerResponseSchema, response);
      const left = Number(response.left);
      if (total === undefined) {
        total = left;
        before = left;
        progress.stop();
        progress = progressOf(out, total, 'pins');
        progress.line(`${peerId} is being drained: ${countOf(left, 'pin')} to move`);
      }
      if (left < before) progress.advance(before - left);
      before = left;
    }
  } finally {
    progress.stop();
  }
  if (!out.json) out.line('no pin is allocated to it any more; it can be stopped, and removed with "pinfold peers rm"');
}

async function undrain(context: CliContext, peerId: string): Promise<void> {
  const { out } = context;
  const response = await (await context.clients()).peers.undrainPeer({ peerId });
  if (out.json) out.message(UndrainPeerResponseSchema, response);
  else out.line(`${peerId} takes pins again`);
}

async function rebalance(context: CliContext, apply: boolean): Promise<void> {
  const { out } = context;
  const { cluster } = await context.clients();
  const plan = apply
    ? await planOf(context, cluster.applyRebalance({}), (each) => out.message(ApplyRebalanceResponseSchema, each))
    : await planOf(context, cluster.planRebalance({}), (each) => out.message(PlanRebalanceResponseSchema, each));
  if (plan === undefined) return;
  showPlan(context, plan);
  const pins = countOf(Number(plan.pins), 'pin');
  if (plan.pins === 0n) out.line('every peer has about its share');
  else out.line(apply ? `${pins} on the way; "pinfold status" shows how far` : `${pins} would move: --apply does it`);
}

/** The plan, after a bar; undefined when all was written as JSON. */
async function planOf<R extends { event?: PlacementEvent | undefined }>(
  { out }: CliContext,
  responses: AsyncIterable<R>,
  message: (response: R) => void,
): Promise<PlacementPlan | undefined> {
  const progress = progressOf(out, undefined, 'pins');
  let plan: PlacementPlan | undefined;
  let done = 0;
  try {
    for await (const response of responses) {
      if (out.json) message(response);
      const event = response.event?.event;
      if (event?.case === 'progress') {
        progress.advance(Number(event.value.done) - done);
        done = Number(event.value.done);
      }
      if (event?.case === 'plan') plan = event.value;
    }
  } finally {
    progress.stop();
  }
  if (plan === undefined) throw new CliError('the peer ended its answer before the plan', 'INTERNAL');
  return out.json ? undefined : plan;
}

function showPlan({ out }: CliContext, plan: PlacementPlan): void {
  out.table(
    ['PEER', 'NAME', 'PINS', 'LEAVING', 'ARRIVING', 'ABOUT'],
    plan.peers.map(({ peerId, peerName, pins, leaving, arriving, arrivingBytes }) => [
      peerId,
      peerName,
      `${pins}`,
      `${leaving}`,
      `${arriving}`,
      arrivingBytes === 0n ? '' : formatBytes(Number(arrivingBytes)),
    ]),
    'no peers',
  );
  if (plan.everywhere > 0n) out.note(`${countOf(Number(plan.everywhere), 'pin')} meant for every peer: not counted`);
  if (plan.stuck > 0n)
    out.line(pc.yellow(`${countOf(Number(plan.stuck), 'pin')} cannot move: too few other peers take pins`));
}
