import type { Command } from 'commander';
import pc from 'picocolors';
import {
  type Alert,
  AlertChange_Kind,
  AlertSchema,
  GetConnectivityResponseSchema,
  WatchAlertsResponseSchema,
} from '../../../gen/pinfold/v1/cluster_service_pb.ts';
import { connectivityGraph } from '../connectivity-graph.ts';
import type { CliContext } from '../context.ts';
import type { Run } from '../run.ts';
import { alertColumns, alertRow } from './health.ts';

/** `pinfold health alerts|graph`. */
export function healthCommands(health: Command, run: Run): void {
  health
    .command('alerts')
    .description('list the alerts of the peer that answers')
    .option('-w, --watch', 'go on and show what is raised and cleared')
    .addHelpText('after', '\nExamples:\n  pinfold health alerts\n  pinfold health alerts --watch --output json')
    .action(run((context, flags: { watch?: boolean }) => (flags.watch === true ? watch(context) : list(context))));
  health
    .command('graph')
    .description('show who is connected with whom, and their IPFS nodes, in the language of Graphviz')
    .addHelpText('after', '\nExample:\n  pinfold health graph | dot -Tsvg > cluster.svg')
    .action(run((context) => graph(context)));
}

async function list(context: CliContext): Promise<void> {
  const { out } = context;
  const { alerts } = await (await context.clients()).cluster.getCluster({});
  if (out.json) for (const alert of alerts) out.message(AlertSchema, alert);
  else out.table(alertColumns, alerts.map(alertRow), 'no alerts');
}

async function watch(context: CliContext): Promise<void> {
  const { out } = context;
  const { cluster } = await context.clients();
  for await (const message of cluster.watchAlerts({})) {
    if (out.json) out.message(WatchAlertsResponseSchema, message);
    else for (const { kind, alert } of message.changes) if (alert !== undefined) out.line(changeLine(kind, alert));
    if (message.caughtUp) out.note('what stood has been shown; changes follow (Ctrl-C ends)');
  }
}

function changeLine(kind: AlertChange_Kind, alert: Alert): string {
  const how = kind === AlertChange_Kind.CLEARED ? pc.green('cleared') : pc.red('raised ');
  return [how, ...alertRow(alert)].join('  ');
}

async function graph(context: CliContext): Promise<void> {
  const { out } = context;
  const response = await (await context.clients()).cluster.getConnectivity({});
  if (out.json) {
    out.message(GetConnectivityResponseSchema, response);
    return;
  }
  out.line(connectivityGraph(response));
  for (const { peerId, peerName, message } of response.errors) {
    out.note(`${peerName === '' ? peerId : peerName} did not answer: ${message}`);
  }
}
