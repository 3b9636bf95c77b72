import { createServer, type Server } from 'node:net';
import { initFolder } from '../config/folder.ts';
import type { Identity } from '../config/identity.ts';
import { schemaUrl } from '../config/schema.ts';
import type { Random } from '../runtime/random.ts';
import { loadPeerConfig, type PeerConfig, peerOptions } from './options.ts';

export interface InitPeer {
  folder: string;
  /** Of the cluster to join. Undefined: a new one is made, or none with the flag `insecure-no-secret`. */
  secret: Uint8Array | undefined;
  /** Options of the configuration, by flag: they are written into the file. */
  flags: Readonly<Record<string, string | true>>;
  /** Free ports instead of the usual ones, on loopback, so that several peers can live on one machine. */
  randomPorts?: boolean;
}

/**
 * `pinfold init`: makes the folder of a new peer. Errors: `ALREADY_INITIALISED`, `UNIMPLEMENTED`, `CONFIG_INVALID`; nothing was
 * changed then. Variables are not baked in: they go on to override the file.
 */
export async function initPeer(init: InitPeer, needs: { random: Random }): Promise<Identity> {
  const flags = { ...init.flags, ...(init.randomPorts === true ? await randomAddresses() : {}) };
  const { config } = loadPeerConfig({ flags });
  const secret = init.secret ?? (config.network.insecureNoSecret ? 'none' : 'make');
  return initFolder({ folder: init.folder, configText: configText(config, flags), secret }, needs.random);
}

/** What people look for in the file first, and all that was asked for; everything else has its default. */
function configText(config: PeerConfig, flags: Readonly<Record<string, string | true>>): string {
  const { cluster, consensus, network, api, ipfs } = config;
  const shown: Record<string, Record<string, unknown>> = {
    cluster: { name: cluster.name, replicationMin: cluster.replicationMin, replicationMax: cluster.replicationMax },
    consensus: { kind: consensus.kind },
    network: { listen: network.listen, bootstrap: network.bootstrap },
    api: { grpcListen: api.grpcListen, httpListen: api.httpListen, metricsListen: api.metricsListen },
    ipfs: { kind: ipfs.kind, network: ipfs.network, listen: ipfs.listen },
  };
  const all = config as unknown as Record<string, Record<string, unknown>>;
  for (const flag of Object.keys(flags)) {
    const entry = peerOptions.byFlag.get(flag);
    if (entry === undefined) continue;
    shown[entry.section] = { ...shown[entry.section], [entry.key]: all[entry.section]?.[entry.key] };
  }
  return `${JSON.stringify({ $schema: schemaUrl, ...shown }, null, 2)}\n`;
}

async function randomAddresses(): Promise<Record<string, string>> {
  const [grpc, http, metrics, swarm, ipfs] = await freePorts(5);
  return {
    'api-grpc-listen': `127.0.0.1:${grpc}`,
    'api-http-listen': `127.0.0.1:${http}`,
    'api-metrics-listen': `127.0.0.1:${metrics}`,
    'network-listen': `/ip4/127.0.0.1/tcp/${swarm}`,
    'ipfs-listen': `/ip4/127.0.0.1/tcp/${ipfs}`,
  };
}

/** Distinct ports that are free now. All are held until the last is known. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listenAnywhere));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function listenAnywhere(): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}
