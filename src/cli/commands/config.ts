import type { Command } from 'commander';
import { folderPaths, readConfigText, readFolder } from '../../config/folder.ts';
import { redacted } from '../../config/redacted.ts';
import { configSchema } from '../../config/schema.ts';
import { ipfsNetworkKey } from '../../daemon/ipfs-key.ts';
import { loadPeerConfig, peerOptions } from '../../daemon/options.ts';
import { formatSwarmKey } from '../../ipfs/swarm-key.ts';
import { CliError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import type { Run } from '../run.ts';

export function configCommand(program: Command, run: Run): void {
  const config = program.command('config').description('show and check the configuration');
  config
    .command('show')
    .description('the configuration as it counts: file, variables and defaults; secrets left out')
    .action(run(async (context) => show(context)));
  config
    .command('check')
    .description('say everything that is wrong with the configuration')
    .action(run(async (context) => check(context)));
  config
    .command('schema')
    .description('the JSON schema of the configuration file')
    .action(run((context) => context.out.line(JSON.stringify(configSchema(peerOptions), null, 2))));
  config
    .command('ipfs-swarm-key')
    .description("the key of the cluster's private IPFS network as Kubo's swarm.key: a secret")
    .addHelpText('after', '\nExample:\n  pinfold config ipfs-swarm-key > ~/.ipfs/swarm.key')
    .action(run(async (context) => showSwarmKey(context)));
}

async function showSwarmKey({ out, folder }: CliContext): Promise<void> {
  const { secret } = await readFolder(folder);
  if (secret === undefined)
    throw new CliError(`${folder} has no cluster secret, from which the key follows`, 'NO_SECRET');
  out.line(formatSwarmKey(ipfsNetworkKey(secret)).trimEnd());
}

async function load({ folder }: CliContext) {
  const file = { name: folderPaths(folder).config, text: await readConfigText(folder) };
  return loadPeerConfig({ file, variables: process.env });
}

async function show(context: CliContext): Promise<void> {
  const { config } = await load(context);
  context.out.line(JSON.stringify(redacted(peerOptions, config), null, 2));
}

async function check(context: CliContext): Promise<void> {
  const { warnings } = await load(context);
  for (const warning of warnings) context.out.note(`warning: ${warning}`);
  if (context.out.json) context.out.object({ valid: true, warnings });
  else context.out.line('the configuration is valid');
}
