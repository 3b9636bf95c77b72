import { type FolderPaths, readFolder } from '../config/folder.ts';
import type { Identity } from '../config/identity.ts';
import { configInvalid } from '../config/problem.ts';
import { loadPeerConfig, type PeerConfig } from './options.ts';

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
}

/** Errors: `CONFIG_INVALID` with all problems, `UNIMPLEMENTED`. */
export async function loadPeer({ folder, variables, flags }: LoadPeer): Promise<LoadedPeer> {
  const { paths, configText, identity, secret, warnings } = await readFolder(folder);
  const loaded = loadPeerConfig({ file: { name: paths.config, text: configText }, variables, flags });
  if (secret === undefined && !loaded.config.network.insecureNoSecret) {
    const problem = 'is missing: put it back, or start with --insecure-no-secret to let in whoever reaches this peer';
    throw configInvalid([{ at: paths.secret, problem }]);
  }
  return { paths, config: loaded.config, identity, secret, warnings: [...warnings, ...loaded.warnings] };
}
