import { Command } from 'commander';
import { addCommand } from './commands/add.ts';
import { clusterCommands } from './commands/cluster.ts';
import { completionCommand } from './commands/completion.ts';
import { configCommand } from './commands/config.ts';
import { daemonCommand } from './commands/daemon.ts';
import { getCommand } from './commands/get.ts';
import { initCommand } from './commands/init.ts';
import { ipfsCommands } from './commands/ipfs.ts';
import { pinCommands } from './commands/pin.ts';
import { placementCommands } from './commands/placement.ts';
import { statusCommands } from './commands/status.ts';
import { storeCommands } from './commands/store.ts';
import { storeCareCommands } from './commands/store-care.ts';
import { run } from './run.ts';
import { version } from './version.ts';

/** The `pinfold` command with everything below it. `silent`: wrong usage is thrown and not told on standard error. */
export function program({ silent = false } = {}): Command {
  const root = new Command('pinfold')
    .description('Keeps content pinned on the right IPFS nodes.')
    .option('--folder <path>', 'folder of the peer (PINFOLD_PATH; default ~/.pinfold)')
    .option('--host <host:port>', 'gRPC address of the daemon (PINFOLD_HOST; default: the one of the folder)')
    .option('--output <format>', 'text, or json: one message a line', 'text')
    .option('--timeout <seconds>', 'give up after so long')
    .option('--quiet', 'no notes on standard error')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput(silent ? { outputError() {} } : {})
    .showSuggestionAfterError()
    .exitOverride();
  initCommand(root, run);
  daemonCommand(root, run);
  clusterCommands(root, run);
  pinCommands(root, run);
  statusCommands(root, run);
  addCommand(root, run);
  getCommand(root, run);
  placementCommands(root, run);
  storeCareCommands(root, run);
  storeCommands(root, run);
  ipfsCommands(root, run);
  configCommand(root, run);
  root
    .command('version')
    .description('show the version')
    .action(run(({ out }) => (out.json ? out.object({ version }) : out.line(`pinfold ${version}`))));
  completionCommand(root, run);
  return root;
}
