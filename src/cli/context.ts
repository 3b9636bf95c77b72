import { homedir } from 'node:os';
import { join } from 'node:path';
import { folderPaths, readConfigText } from '../config/folder.ts';
import { loadPeerConfig, parseListenAddress } from '../daemon/options.ts';
import { usageError } from './cli-error.ts';
import { type Clients, connect } from './client.ts';
import { type Output, output } from './output.ts';

/** What the global flags decide. */
export interface GlobalFlags {
  folder?: string;
  host?: string;
  output: string;
  timeout?: string;
  quiet?: boolean;
}

/** What every command works with. */
export interface CliContext {
  readonly folder: string;
  readonly out: Output;
  /** The address that calls go to, `host:port`. */
  host(): Promise<string>;
  clients(): Promise<Clients>;
}

export function cliContext(flags: GlobalFlags): CliContext {
  if (flags.output !== 'text' && flags.output !== 'json') {
    throw usageError(`--output must be text or json, not "${flags.output}"`);
  }
  const folder = flags.folder ?? process.env.PINFOLD_PATH ?? join(homedir(), '.pinfold');
  const timeoutMs = flags.timeout === undefined ? undefined : secondsToMs(flags.timeout);
  const host = async () => flags.host ?? process.env.PINFOLD_HOST ?? (await hostOfFolder(folder));
  return {
    folder,
    out: output({ format: flags.output, quiet: flags.quiet === true }),
    host,
    clients: async () => connect(await host(), timeoutMs),
  };
}

function secondsToMs(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds < 2 ** 31 / 1000)) throw usageError(`--timeout takes seconds, not "${text}"`);
  return seconds * 1000;
}

async function hostOfFolder(folder: string): Promise<string> {
  const file = { name: folderPaths(folder).config, text: await readConfigText(folder) };
  const { config } = loadPeerConfig({ file, variables: process.env });
  const { host, port } = parseListenAddress(config.api.grpcListen);
  const reachable = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}
