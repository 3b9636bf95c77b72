import { isIP } from 'node:net';
import { allocateByProblem, allocatorOptions } from '../allocator/options.ts';
import { apiOptions } from '../api/options.ts';
import { clusterOptions } from '../cluster/options.ts';
import { assembleOptions, type ConfigOf } from '../config/assembly.ts';
import { type ConfigSources, type LoadedConfig, loadConfig } from '../config/load-config.ts';
import type { Problem } from '../config/problem.ts';
import { crdtOptions } from '../consensus/crdt/options.ts';
import { consensusOptions, requireBuiltConsensus } from '../consensus/options.ts';
import { authorization, parseRpcAddress } from '../ipfs/kubo/address.ts';
import { ipfsOptions } from '../ipfs/options.ts';
import { isPeerId } from '../model/peer-id.ts';
import { monitorOptions } from '../monitor/options.ts';
import { networkOptions } from '../network/options.ts';
import { pinsetOptions } from '../pinset/options.ts';
import { storageOptions } from '../storage/options.ts';
import { trackerOptions } from '../tracker/options.ts';
import { logOptions } from './log-options.ts';

/** Every option there is. Schema, variables, flags and the reference are made from it. */
export const peerOptions = assembleOptions([
  clusterOptions,
  consensusOptions,
  crdtOptions,
  networkOptions,
  apiOptions,
  ipfsOptions,
  pinsetOptions,
  trackerOptions,
  monitorOptions,
  allocatorOptions,
  storageOptions,
  logOptions,
]);

export type PeerConfig = ConfigOf<typeof peerOptions>;

/** `PINFOLD_*` variables that are no options: the folder, the address of a daemon, the secret that `init` takes. */
export const otherVariables = ['PINFOLD_PATH', 'PINFOLD_HOST', 'PINFOLD_SECRET'];

/** The configuration of a peer. Errors: `CONFIG_INVALID` with all problems, `UNIMPLEMENTED` for a consensus not yet built. */
export function loadPeerConfig(
  sources: Pick<ConfigSources<typeof peerOptions>, 'file' | 'variables' | 'flags'>,
): LoadedConfig<typeof peerOptions> {
  const loaded = loadConfig(peerOptions, { ...sources, notOptions: otherVariables, check: problemsBetween });
  requireBuiltConsensus(loaded.config.consensus.kind);
  return loaded;
}

function problemsBetween(config: PeerConfig): Problem[] {
  return [
    ...replicationProblems(config),
    ...trustProblems(config),
    ...trackerProblems(config),
    ...allocatorProblems(config),
    ...doorProblems(config),
    ...ipfsProblems(config),
  ];
}

function replicationProblems({ cluster: { replicationMin: min, replicationMax: max } }: PeerConfig): Problem[] {
  const at = 'cluster.replicationMin';
  if (min === 0 || max === 0) return [{ at, problem: 'a replication factor is -1 (every peer) or at least 1' }];
  if ((min === -1) !== (max === -1)) return [{ at, problem: 'must be -1 exactly when replicationMax is -1' }];
  return min > max ? [{ at, problem: `must not exceed replicationMax (${max})` }] : [];
}

function trustProblems({ crdt: { trustedPeers } }: PeerConfig): Problem[] {
  const at = 'crdt.trustedPeers';
  return trustedPeers
    .filter((peerId) => peerId !== '*' && !isPeerId(peerId))
    .map((peerId) => ({ at, problem: `${peerId} is no peer ID: a character is wrong` }));
}

function trackerProblems({ tracker: { retryBaseMs, retryMaxMs } }: PeerConfig): Problem[] {
  if (retryBaseMs <= retryMaxMs) return [];
  return [{ at: 'tracker.retryBaseMs', problem: `must not exceed retryMaxMs (${retryMaxMs})` }];
}

/** Looked at whatever the kind is: what is wrong now would only wait for the day that the kind is changed. */
function ipfsProblems({ ipfs }: PeerConfig): Problem[] {
  const { api, apiAuth, apiTlsCa, apiTlsCert, apiTlsKey } = ipfs;
  const problems = [
    ...thrown('ipfs.api', () => parseRpcAddress(api)),
    ...thrown('ipfs.apiAuth', () => apiAuth !== undefined && authorization(apiAuth)),
  ];
  if (problems.length > 0) return problems;
  if ((apiTlsCert === undefined) !== (apiTlsKey === undefined)) {
    return [{ at: 'ipfs.apiTlsCert', problem: 'a certificate and its key (apiTlsKey) go together' }];
  }
  if (!parseRpcAddress(api).tls && (apiTlsCa ?? apiTlsCert) !== undefined) {
    return [
      {
        at: 'ipfs.api',
        problem: 'there are files for TLS, and the address is not of TLS: https://, or /https at its end',
      },
    ];
  }
  return [];
}

function thrown(at: string, check: () => unknown): Problem[] {
  try {
    check();
    return [];
  } catch (error) {
    return [{ at, problem: (error as Error).message }];
  }
}

/** Credentials that others on the way can read. */
export function ipfsWarnings({ ipfs }: PeerConfig): string[] {
  const { tls, socketPath, host } = parseRpcAddress(ipfs.api);
  const isSafe = tls || socketPath !== undefined || isLoopback(host);
  if (ipfs.kind !== 'kubo' || ipfs.apiAuth === undefined || isSafe) return [];
  return [`ipfs.apiAuth goes to ${host} without TLS: whoever is on the way can read it`];
}

function allocatorProblems({ allocator: { allocateBy } }: PeerConfig): Problem[] {
  const problem = allocateByProblem(allocateBy);
  return problem === undefined ? [] : [{ at: 'allocator.allocateBy', problem }];
}

/** Without authentication a door opens beyond this machine only when the operator says so. */
function doorProblems({ api }: PeerConfig): Problem[] {
  const doors = { grpcListen: api.grpcListen, httpListen: api.httpListen, metricsListen: api.metricsListen };
  return Object.entries(doors).flatMap(([key, address]) => {
    const { host, port } = parseListenAddress(address);
    if (port > 65_535) return [{ at: `api.${key}`, problem: `there is no port ${port}` }];
    if (isLoopback(host) || api.insecureNoAuth) return [];
    const problem = `${host} is not loopback, and nobody has to say who they are there: add --insecure-no-auth to allow it`;
    return [{ at: `api.${key}`, problem }];
  });
}

/** `host:port` or `[IPv6]:port`, as the option's pattern has admitted it. */
export function parseListenAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  return { host, port: Number(address.slice(colon + 1)) };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
