import type { Command } from 'commander';
import { readSecretFile } from '../../config/folder.ts';
import { decodeSecret } from '../../config/secret.ts';
import { initPeer } from '../../daemon/init-peer.ts';
import { systemRandom } from '../../runtime/random.ts';
import type { CliContext } from '../context.ts';
import { givenFlags, optionFlags } from '../option-flags.ts';
import type { Run } from '../run.ts';

interface InitFlags extends Record<string, unknown> {
  consensus: string;
  name?: string;
  randomPorts?: boolean;
  secretFile?: string;
}

export function initCommand(program: Command, run: Run): void {
  const command = program
    .command('init')
    .description('make the folder of a new peer: configuration, identity, cluster secret')
    .option('--consensus <kind>', 'crdt (raft comes later)', 'crdt')
    .option('--name <name>', 'name of this peer, for people')
    .option('--random-ports', 'free ports of this machine, loopback only')
    .option('--secret-file <file>', 'the secret of the cluster to join (or PINFOLD_SECRET); without it one is made')
    .addHelpText(
      'after',
      `
Examples:
  pinfold init                                     a first peer
  pinfold init --secret-file secret.txt            a further peer of the same cluster
  pinfold init --folder /srv/pinfold --cluster-replication-min 2 --cluster-replication-max 3`,
    );
  optionFlags(command, ['insecure-no-secret', 'cluster-replication-min', 'cluster-replication-max']).action(
    run((context, flags: InitFlags) => init(context, flags)),
  );
}

async function init({ out, folder }: CliContext, given: InitFlags): Promise<void> {
  const flags = givenFlags(given);
  flags['consensus-kind'] = given.consensus;
  if (given.name !== undefined) flags['cluster-peer-name'] = given.name;
  const secret = await secretFrom(given);
  const randomPorts = given.randomPorts === true;
  const { peerId } = await initPeer({ folder, flags, secret, randomPorts }, { random: systemRandom });
  if (out.json) {
    out.object({ folder, peerId });
    return;
  }
  out.line(`initialised ${folder}`);
  out.line(`peer ${peerId}`);
  out.note('start it with "pinfold daemon"; further peers need the same secret (pinfold init --secret-file)');
}

async function secretFrom({ secretFile }: InitFlags): Promise<Uint8Array | undefined> {
  if (secretFile !== undefined) return readSecretFile(secretFile);
  const variable = process.env.PINFOLD_SECRET;
  return variable === undefined ? undefined : decodeSecret('PINFOLD_SECRET', variable);
}
