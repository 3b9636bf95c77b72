import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import type { ImportOptionsSchema } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { usageError } from './cli-error.ts';

/** What decides CIDs, named as in `ipfs add`. */
export interface ImportFlags {
  profile?: string;
  chunker?: string;
  trickle?: boolean;
  rawLeaves?: boolean;
  cidVersion?: string;
  hash?: string;
  inline?: boolean;
  inlineLimit: string;
  maxFileLinks?: string;
  maxDirectoryLinks?: string;
  maxHamtFanout?: string;
}

export function importFlags(command: Command): Command {
  return command
    .option('--profile <name>', 'options of ipfs add by name: unixfs-v1-2025, unixfs-v0-2015')
    .option('--chunker <form>', 'size-BYTES, rabin, rabin-BYTES, rabin-MIN-AVERAGE-MAX or buzhash')
    .option('--trickle', 'lay files out to be read from their beginning')
    .option('--raw-leaves', 'leaves without a wrapping (default with CIDs of version 1)')
    .option('--no-raw-leaves', 'leaves with a wrapping')
    .option('--cid-version <n>', '0 or 1')
    .option('--hash <name>', 'hash function, such as sha2-256 or blake3')
    .option('--inline', 'make small blocks part of their CIDs')
    .option('--inline-limit <bytes>', 'largest block for --inline', '32')
    .option('--max-file-links <n>', 'links of an inner node of a file')
    .option('--max-directory-links <n>', 'links of a directory, above which it is sharded')
    .option('--max-hamt-fanout <n>', 'children of a node of a sharded directory: a power of two');
}

/** Undefined: none was given. Throws USAGE. */
export function importOptionsFrom(flags: ImportFlags): MessageInitShape<typeof ImportOptionsSchema> | undefined {
  const options = given({
    profile: flags.profile,
    chunker: flags.chunker,
    trickle: flags.trickle,
    rawLeaves: flags.rawLeaves,
    cidVersion: numberFrom('--cid-version', flags.cidVersion),
    hash: flags.hash,
    inlineLimit: flags.inline === true ? numberFrom('--inline-limit', flags.inlineLimit) : undefined,
    maxFileLinks: numberFrom('--max-file-links', flags.maxFileLinks),
    maxDirectoryLinks: numberFrom('--max-directory-links', flags.maxDirectoryLinks),
    maxHamtFanout: numberFrom('--max-hamt-fanout', flags.maxHamtFanout),
  });
  return Object.keys(options).length === 0 ? undefined : options;
}

function given(options: Record<string, unknown>): MessageInitShape<typeof ImportOptionsSchema> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function numberFrom(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (/^[0-9]+$/.test(text) && number <= 0xffffffff) return number;
  throw usageError(`${flag} takes a whole number, not "${text}"`);
}
