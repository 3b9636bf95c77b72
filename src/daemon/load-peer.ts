import { type FolderPaths, readFolder } from '../config/folder.ts';
import type { Identity } from '../config/identity.ts';
import { configInvalid } from '../config/problem.ts';
import { loadPeerConfig, type PeerConfig, peerOptions } from './options.ts';

export interface LoadPeer {
  folder: string;
  variables: Readonly<Record<string, string | undefined>>;
  flags: Readonly<Record<string, string | true>>;
}

/** Everything that a peer is started from. */
export interface LoadedPeer {
  readonly paths: FolderPaths;
  readonly config: PeerConfig;
  readonly identity: Identity;
  /** Undefined only with `--insecure-no-secret`. */
  readonly secret: Uint8Array | undefined;
  readonly warnings: readonly string[];
  /** The flag or variable that an option comes from, though the file may have it, too; undefined: neither gives it. */
  givenBy(path: string): string | undefined;
}

/** Errors: `CONFIG_INVALID` with all problems, `UNIMPLEMENTED`. */
export async function loadPeer({ folder, variables, flags }: LoadPeer): Promise<LoadedPeer> {
  const { paths, configText, identity, secret, warnings } = await readFolder(folder);
  const loaded = loadPeerConfig({ file: { name: paths.config, text: configText }, variables, flags });
  if (secret === undefined && !loaded.config.network.insecureNoSecret) {
    const problem = 'is missing: put it back, or start with --insecure-no-secret to let in whoever reaches this peer';
    throw configInvalid([{ at: paths.secret, problem }]);
  }
  const givenBy = (path: string) => {
    const { flag = '', variable = '' } = peerOptions.byPath.get(path) ?? {};
    if (flags[flag] !== undefined) return `--${flag}`;
    return variables[variable] === undefined ? undefined : variable;
  };
  return { paths, config: loaded.config, identity, secret, warnings: [...warnings, ...loaded.warnings], givenBy };
}
