import { createServer } from 'node:net';
import type { Command } from 'commander';
import { initFolder, readSecretFile } from '../../config/folder.ts';
import { schemaUrl } from '../../config/schema.ts';
import { decodeSecret } from '../../config/secret.ts';
import { loadPeerConfig, type PeerConfig, peerOptions } from '../../daemon/options.ts';
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

async function init(context: CliContext, flags: InitFlags): Promise<void> {
  const { out, folder } = context;
  const given = givenFlags(flags);
  given['consensus-kind'] = flags.consensus;
  if (flags.name !== undefined) given['cluster-peer-name'] = flags.name;
  if (flags.randomPorts === true) Object.assign(given, await randomPorts());
  // Variables are not baked in: they go on to override the file.
  const { config } = loadPeerConfig({ flags: given });
  const secret = await secretFrom(flags, config);
  const { peerId } = await initFolder({ folder, configText: configText(config, given), secret }, systemRandom);
  if (out.json) {
    out.object({ folder, peerId });
    return;
  }
  out.line(`initialised ${folder}`);
  out.line(`peer ${peerId}`);
  out.note('start it with "pinfold daemon"; further peers need the same secret (pinfold init --secret-file)');
}

async function secretFrom(flags: InitFlags, config: PeerConfig): Promise<Uint8Array | 'make' | 'none'> {
  if (flags.secretFile !== undefined) return readSecretFile(flags.secretFile);
  const variable = process.env.PINFOLD_SECRET;
  if (variable !== undefined) return decodeSecret('PINFOLD_SECRET', variable);
  return config.network.insecureNoSecret ? 'none' : 'make';
}

/** What an operator will look for first, and all that was asked for; the rest has its defaults. */
function configText(config: PeerConfig, given: Readonly<Record<string, string | true>>): string {
  const { cluster, consensus, network, api, ipfs } = config;
  const shown: Record<string, Record<string, unknown>> = {
    cluster: { name: cluster.name, replicationMin: cluster.replicationMin, replicationMax: cluster.replicationMax },
    consensus: { kind: consensus.kind },
    network: { listen: network.listen, bootstrap: network.bootstrap },
    api: { grpcListen: api.grpcListen, httpListen: api.httpListen, metricsListen: api.metricsListen },
    ipfs: { kind: ipfs.kind, network: ipfs.network, listen: ipfs.listen },
  };
  const all = config as unknown as Record<string, Record<string, unknown>>;
  for (const flag of Object.keys(given)) {
    const entry = peerOptions.byFlag.get(flag);
    if (entry === undefined) continue;
    shown[entry.section] = { ...shown[entry.section], [entry.key]: all[entry.section]?.[entry.key] };
  }
  return `${JSON.stringify({ $schema: schemaUrl, ...shown }, null, 2)}\n`;
}

async function randomPorts(): Promise<Record<string, string>> {
  // Held open together, so that they differ.
  const servers = await Promise.all(Array.from({ length: 5 }, openPort));
  const ports = servers.map(({ port }) => port);
  await Promise.all(servers.map(({ close }) => close()));
  const [grpc, http, metrics, swarm, ipfs] = ports;
  return {
    'api-grpc-listen': `127.0.0.1:${grpc}`,
    'api-http-listen': `127.0.0.1:${http}`,
    'api-metrics-listen': `127.0.0.1:${metrics}`,
    'network-listen': `/ip4/127.0.0.1/tcp/${swarm}`,
    'ipfs-listen': `/ip4/127.0.0.1/tcp/${ipfs}`,
  };
}

function openPort(): Promise<{ port: number; close: () => Promise<void> }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      resolve({ port, close: () => new Promise((closed) => server.close(() => closed())) });
    });
  });
}
