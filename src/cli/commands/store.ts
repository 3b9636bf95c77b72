import type { Command } from 'commander';
import { RejoinStoreResponseSchema, RenewStoreResponseSchema } from '../../../gen/pinfold/v1/peer_service_pb.ts';
import type { CliContext } from '../context.ts';
import type { Run } from '../run.ts';

const renewHelp = `
Use it after a backup was put back in place of the store, before the peer writes again. A peer notices by itself when its folder
was copied, and when others know more of it than its store does: this is for when you know before it can.

Examples:
  pinfold store renew`;

const rejoinHelp = `
Use it when the alert FORK says so, or when a store is damaged and the others are whole. What only this peer has is given to the
others first; if they do not take all of it within 20 seconds, nothing is done, and the error names what would be lost. Then the
daemon restarts with an empty store and takes in the pinset of the others. The old store is kept beside the new one, as
store.TIME: remove it when nothing is missing. What the IPFS node holds is not touched, and not fetched again.

Examples:
  pinfold store rejoin
  pinfold store rejoin --force      also if something is lost that no other peer has`;

export function storeCommands(program: Command, run: Run): void {
  const store =
    program.commands.find((command) => command.name() === 'store') ??
    program.command('store').description('what is done to the store of the peer that answers');
  store
    .command('renew')
    .description('write on under a new incarnation')
    .addHelpText('after', renewHelp)
    .action(run((context) => renew(context)));
  store
    .command('rejoin')
    .description('leave the store and join the others anew')
    .option('--force', 'also if something is lost that no other peer has')
    .addHelpText('after', rejoinHelp)
    .action(run((context, { force = false }: { force?: boolean }) => rejoin(context, force)));
}

async function renew(context: CliContext): Promise<void> {
  const { out } = context;
  const answer = await (await context.clients()).peers.renewStore({});
  if (out.json) out.message(RenewStoreResponseSchema, answer);
  else
    out.line(
      'This peer writes on under a new incarnation. What it wrote before stays valid; nothing else has to be done.',
    );
}

async function rejoin(context: CliContext, force: boolean): Promise<void> {
  const { out } = context;
  const answer = await (await context.clients()).peers.rejoinStore({ force });
  if (out.json) {
    out.message(RejoinStoreResponseSchema, answer);
    return;
  }
  out.line(`The peer restarts with an empty store and joins the others; "pinfold health" shows when it is up.`);
  out.line(`The old store is kept in ${answer.setAside}: remove it when nothing is missing.`);
}
