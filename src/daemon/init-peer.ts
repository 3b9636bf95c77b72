import { createServer, type Server } from 'node:net';
import { type InitFolder, initFolder } from '../config/folder.ts';
import type { Identity } from '../config/identity.ts';
import { schemaUrl } from '../config/schema.ts';
import type { ConsensusKind } from '../consensus/options.ts';
import type { Random } from '../runtime/random.ts';
import { loadPeerConfig, parseListenAddress, peerOptions } from './options.ts';

export interface InitPeer {
  folder: string;
  consensus: ConsensusKind;
  secret: InitFolder['secret'];
  clusterName?: string;
  peerName?: string;
  /** Free ports instead of the usual ones, so that several peers can live on one machine. */
  randomPorts?: boolean;
  /** Where the two swarms listen. Default `0.0.0.0`, all interfaces. */
  swarmHost?: string;
}

/** `pinfold init`: makes the folder of a new peer. Errors: `ALREADY_INITIALISED`, `UNIMPLEMENTED`, `CONFIG_INVALID`. */
export async function initPeer(init: InitPeer, needs: { random: Random }): Promise<Identity> {
  const configText = `${JSON.stringify(await firstConfig(init), null, 2)}\n`;
  loadPeerConfig({ file: { name: 'config.json', text: configText } });
  return initFolder({ folder: init.folder, configText, secret: init.secret }, needs.random);
}

/** What people look for in the file first; everything else has its default. */
async function firstConfig(init: InitPeer): Promise<Record<string, unknown>> {
  const { clusterName, peerName, consensus, secret, swarmHost = '0.0.0.0' } = init;
  const doors = ['api.grpcListen', 'api.httpListen', 'api.metricsListen'].map(defaultAddress);
  const ports = init.randomPorts ? await freePorts(5) : [...doors.map(({ port }) => port), 9096, 9099];
  const [grpc, http, metrics, swarm, ipfs] = ports;
  const family = swarmHost.includes(':') ? 'ip6' : 'ip4';
  return {
    $schema: schemaUrl,
    cluster: {
      ...(clusterName === undefined ? {} : { name: clusterName }),
      ...(peerName === undefined ? {} : { peerName }),
    },
    consensus: { kind: consensus },
    network: {
      listen: [`/${family}/${swarmHost}/tcp/${swarm}`],
      ...(secret === 'none' ? { insecureNoSecret: true } : {}),
    },
    api: {
      grpcListen: `127.0.0.1:${grpc}`,
      httpListen: `127.0.0.1:${http}`,
      metricsListen: `127.0.0.1:${metrics}`,
    },
    ipfs: { listen: [`/${family}/${swarmHost}/tcp/${ipfs}`] },
  };
}

function defaultAddress(path: string): { host: string; port: number } {
  return parseListenAddress(String(peerOptions.byPath.get(path)?.option.default));
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
    server.listen(0, () => resolve(server));
  });
}
