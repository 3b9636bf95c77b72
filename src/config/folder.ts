import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PinfoldError } from '../model/errors.ts';
import type { Random } from '../runtime/random.ts';
import { createFile, exposureOf, readBoundedText } from './files.ts';
import { createIdentity, decodeIdentity, encodeIdentity, type Identity } from './identity.ts';
import { configInvalid } from './problem.ts';
import { createSecret, decodeSecret, encodeSecret } from './secret.ts';

/** What lies where in the folder of a peer. */
export interface FolderPaths {
  readonly folder: string;
  /** Written last by `init`: a folder with it is initialised. */
  readonly config: string;
  readonly identity: string;
  readonly secret: string;
  readonly store: string;
  /** There while the store is to be moved aside at the next start (`store rejoin`). */
  readonly leftStore: string;
  readonly ipfs: string;
  readonly socket: string;
  readonly addresses: string;
}

export function folderPaths(folder: string): FolderPaths {
  return {
    folder,
    config: join(folder, 'config.json'),
    identity: join(folder, 'identity.json'),
    secret: join(folder, 'secret'),
    store: join(folder, 'store'),
    leftStore: join(folder, 'rejoin.json'),
    ipfs: join(folder, 'ipfs'),
    socket: join(folder, 'daemon.sock'),
    addresses: join(folder, 'addresses.json'),
  };
}

const configBytesMax = 1024 * 1024;
const smallBytesMax = 4096;

export interface InitFolder {
  folder: string;
  /** The configuration file, already found valid. */
  configText: string;
  /** `make`: a new one. `none`: the peer lets in whoever reaches it. */
  secret: Uint8Array | 'make' | 'none';
}

/**
 * Makes the folder of a new peer: identity, secret, and last the configuration. Files appear whole or not at all; an init
 * that was cut short is finished by the next, with the identity that it had made. Errors: `ALREADY_INITIALISED`, and then
 * nothing has changed.
 */
export async function initFolder(init: InitFolder, random: Random): Promise<Identity> {
  const paths = folderPaths(init.folder);
  await mkdir(init.folder, { recursive: true, mode: 0o700 });
  await refuseInitialised(paths);
  await settleSecret(paths, init.secret, random);
  const identity = await settleIdentity(paths, random);
  if (!(await createFile(paths.config, init.configText, 0o644))) throw alreadyInitialised(paths);
  return identity;
}

async function refuseInitialised(paths: FolderPaths): Promise<void> {
  if (await exists(paths.config)) throw alreadyInitialised(paths);
  for (const data of [paths.store, paths.ipfs]) {
    if (!(await exists(data))) continue;
    const advice = `there is no ${paths.config}, but ${data}: put the configuration back, or use another folder`;
    throw new PinfoldError('ALREADY_INITIALISED', `${paths.folder} holds the data of a peer; ${advice}`);
  }
}

function alreadyInitialised({ folder }: FolderPaths): PinfoldError {
  return new PinfoldError('ALREADY_INITIALISED', `${folder} already holds a peer; nothing was changed`);
}

async function settleSecret(paths: FolderPaths, wanted: InitFolder['secret'], random: Random): Promise<void> {
  const left = await readSecret(paths);
  if (left === undefined) {
    if (wanted === 'none') return;
    const secret = wanted === 'make' ? createSecret(random) : wanted;
    if (await createFile(paths.secret, `${encodeSecret(secret)}\n`, 0o600)) return;
    throw alreadyInitialised(paths);
  }
  if (wanted === 'make' || (wanted !== 'none' && Buffer.compare(left, wanted) === 0)) return;
  throw configInvalid([
    { at: paths.secret, problem: 'an init that was cut short left another secret: remove the file' },
  ]);
}

async function settleIdentity(paths: FolderPaths, random: Random): Promise<Identity> {
  const left = await readBoundedText(paths.identity, smallBytesMax);
  if (left !== undefined) return decodeIdentity(paths.identity, left);
  const identity = await createIdentity(random);
  if (await createFile(paths.identity, encodeIdentity(identity), 0o600)) return identity;
  throw alreadyInitialised(paths);
}

/** What a folder holds besides its data. */
export interface FolderContents {
  readonly paths: FolderPaths;
  readonly configText: string;
  readonly identity: Identity;
  readonly secret: Uint8Array | undefined;
  /** For the operator: files that others can read. */
  readonly warnings: readonly string[];
}

/** Errors: `CONFIG_INVALID`, saying what to do. */
export async function readFolder(folder: string): Promise<FolderContents> {
  const paths = folderPaths(folder);
  const configText = await readConfigText(folder);
  const identityText = await readBoundedText(paths.identity, smallBytesMax);
  if (identityText === undefined) throw configInvalid([{ at: paths.identity, problem: 'is missing: put it back' }]);
  const secret = await readSecret(paths);
  const keys = secret === undefined ? [paths.identity] : [paths.identity, paths.secret];
  const exposures = await Promise.all(keys.map(exposureOf));
  return {
    paths,
    configText,
    identity: decodeIdentity(paths.identity, identityText),
    secret,
    warnings: exposures.filter((exposure) => exposure !== undefined),
  };
}

/** The text of the configuration file alone: for commands that need no key. */
export async function readConfigText(folder: string): Promise<string> {
  const { config } = folderPaths(folder);
  const text = await readBoundedText(config, configBytesMax);
  if (text !== undefined) return text;
  throw configInvalid([{ at: config, problem: 'is missing: run `pinfold init` first, or name another --folder' }]);
}

/** A secret from a file that the operator names. */
export async function readSecretFile(path: string): Promise<Uint8Array> {
  const text = await readBoundedText(path, smallBytesMax);
  if (text === undefined) throw configInvalid([{ at: path, problem: 'there is no such file' }]);
  return decodeSecret(path, text);
}

async function readSecret({ secret }: FolderPaths): Promise<Uint8Array | undefined> {
  const text = await readBoundedText(secret, smallBytesMax);
  return text === undefined ? undefined : decodeSecret(secret, text);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}
