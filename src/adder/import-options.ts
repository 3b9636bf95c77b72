import { hasherNames, hashers } from '../ipfs/dag/hashers.ts';
import { invalidField } from '../model/errors.ts';
import { buzhash } from './chunkers/buzhash.ts';
import type { Chunker } from './chunkers/chunker.ts';
import { fixedSize } from './chunkers/fixed-size.ts';
import { rabin } from './chunkers/rabin.ts';
import { CHUNK_BYTES_MAX, DIRECTORY_LINKS_MAX, FILE_LINKS_MAX, INLINE_BYTES_MAX } from './constants.ts';
import type { BlockForm } from './unixfs/block-maker.ts';
import type { DirectoryForm } from './unixfs/directory-builder.ts';
import type { FileForm } from './unixfs/file-builder.ts';

/** What decides CIDs, as `ipfs add` has it. What is left out is as the profile has it. */
export interface ImportOptions {
  /** One of Kubo's (`profileNames`). Default: '' or 'default', what Kubo does without one. */
  profile?: string | undefined;
  /** `size-BYTES`, `rabin`, `rabin-BYTES`, `rabin-MIN-AVERAGE-MAX` or `buzhash`. Default `size-262144`. */
  chunker?: string | undefined;
  trickle?: boolean | undefined;
  /** Default: true for CIDs of version 1, false for version 0. */
  rawLeaves?: boolean | undefined;
  /** Default 0, or 1 for another hash function than sha2-256. */
  cidVersion?: number | undefined;
  /** Default sha2-256. */
  hash?: string | undefined;
  /** Bytes. Default 0: no block becomes part of its CID. */
  inlineLimit?: number | undefined;
  /** Default 174. */
  maxFileLinks?: number | undefined;
  /** Default 0: only the size counts. */
  maxDirectoryLinks?: number | undefined;
  /** Default 256. */
  maxHamtFanout?: number | undefined;
  /** Default 262,144. 0: no directory is sharded, and one with more than `maxDirectoryLinks` is refused. */
  hamtThresholdBytes?: number | undefined;
}

export interface ImportForm {
  /** `rawLeaves` is for files of which neither mode nor time is kept. */
  file: FileForm;
  /** Raw leaves were asked for: then nothing can be kept of files. */
  mustBeRaw: boolean;
  directory: DirectoryForm;
  block: BlockForm;
}

interface Profile {
  chunker: string;
  trickle: boolean;
  hash: string;
  maxFileLinks: number;
  maxDirectoryLinks: number;
  maxHamtFanout: number;
  hamtThresholdBytes: number;
  sizeBy: DirectoryForm['sizeBy'];
  cidVersion?: number;
  rawLeaves?: boolean;
}

const kubo: Profile = {
  chunker: 'size-262144',
  trickle: false,
  hash: 'sha2-256',
  maxFileLinks: 174,
  maxDirectoryLinks: 0,
  maxHamtFanout: 256,
  hamtThresholdBytes: 262_144,
  sizeBy: 'links',
};
const v02015: Profile = { ...kubo, cidVersion: 0, rawLeaves: false };
const v12025: Profile = {
  ...{ ...kubo, cidVersion: 1, rawLeaves: true },
  ...{ chunker: 'size-1048576', maxFileLinks: 1024, sizeBy: 'block' },
};

/** Kubo 0.42, config/profile.go; https://specs.ipfs.tech/ipips/ipip-0499/. */
const profiles: ReadonlyMap<string, Profile> = new Map([
  ['default', kubo],
  ['unixfs-v0-2015', v02015],
  ['legacy-cid-v0', v02015],
  ['unixfs-v1-2025', v12025],
]);

export const profileNames: readonly string[] = [...profiles.keys()];

/** Throws INVALID_ARGUMENT naming the field (`import.chunker`) for what Kubo would refuse, too. */
export function importForm(options: ImportOptions): ImportForm {
  const { profile: name = '' } = options;
  const profile = profiles.get(name === '' ? 'default' : name);
  if (profile === undefined) throw bad('profile', `"${name.slice(0, 80)}"; there are ${profileNames.join(', ')}`);
  const hash = options.hash || profile.hash;
  const cidVersion = cidVersionOf(options.cidVersion ?? profile.cidVersion, hash);
  const rawLeaves = options.rawLeaves ?? profile.rawLeaves;
  return {
    file: {
      chunker: chunkerOf(options.chunker || profile.chunker),
      layout: (options.trickle ?? profile.trickle) ? 'trickle' : 'balanced',
      rawLeaves: rawLeaves ?? cidVersion === 1,
      linksMax: within('max_file_links', options.maxFileLinks ?? profile.maxFileLinks, 2, FILE_LINKS_MAX),
    },
    mustBeRaw: rawLeaves === true,
    directory: directoryForm(options, profile),
    block: {
      cidVersion,
      hasher: hasherOf(hash),
      inlineLimit: within('inline_limit', options.inlineLimit ?? 0, 0, INLINE_BYTES_MAX),
    },
  };
}

function directoryForm(options: ImportOptions, profile: Profile): DirectoryForm {
  const {
    maxDirectoryLinks = profile.maxDirectoryLinks,
    hamtThresholdBytes = profile.hamtThresholdBytes,
    maxHamtFanout = profile.maxHamtFanout,
  } = options;
  const fanoutBits = Math.log2(maxHamtFanout);
  if (!Number.isInteger(fanoutBits) || fanoutBits < 3 || fanoutBits > 10) {
    throw bad('max_hamt_fanout', `${maxHamtFanout}; it is a power of two from 8 to 1024`);
  }
  return {
    linksMax: within('max_directory_links', maxDirectoryLinks, 0, DIRECTORY_LINKS_MAX),
    // A flat directory is one block.
    shardAboveBytes: within('hamt_threshold_bytes', hamtThresholdBytes, 0, CHUNK_BYTES_MAX),
    sizeBy: profile.sizeBy,
    fanoutBits,
  };
}

function cidVersionOf(asked: number | undefined, hash: string): 0 | 1 {
  const version = asked ?? (hash === 'sha2-256' ? 0 : 1);
  if (version !== 0 && version !== 1) throw bad('cid_version', `${version}; it is 0 or 1`);
  if (version === 0 && hash !== 'sha2-256')
    throw bad('cid_version', `0 is for the hash function sha2-256, not ${hash}`);
  return version;
}

function hasherOf(name: string): BlockForm['hasher'] {
  const code = hasherNames.get(name);
  const hasher = code === undefined ? undefined : hashers.get(code);
  if (hasher !== undefined) return hasher;
  throw bad('hash', `"${name.slice(0, 80)}" is not known; there are ${[...hasherNames.keys()].join(', ')}`);
}

function chunkerOf(text: string): Chunker {
  if (text === 'buzhash') return buzhash;
  const [kind, ...rest] = text.split('-');
  const [first = 262_144, average = 0, max = 0] = rest.map((part) => (/^[0-9]{1,9}$/.test(part) ? Number(part) : -1));
  switch (`${kind} ${rest.length}`) {
    case 'size 1':
      if (first < 1 || first > CHUNK_BYTES_MAX) throw badChunker(text, `a chunk has 1 to ${CHUNK_BYTES_MAX} bytes`);
      return fixedSize(first);
    case 'rabin 0':
    case 'rabin 1':
      return rabinOf(text, Math.floor(first / 3), first, first + Math.floor(first / 2));
    case 'rabin 3':
      return rabinOf(text, first, average, max);
  }
  throw badChunker(text, 'it is "size-BYTES", "rabin", "rabin-BYTES", "rabin-MIN-AVERAGE-MAX" or "buzhash"');
}

function rabinOf(text: string, min: number, average: number, max: number): Chunker {
  if (min < 16) throw badChunker(text, 'the least that a chunk has must be 16 bytes or more');
  if (min >= average || average >= max) throw badChunker(text, 'min must be below the average, and that below max');
  if (max > CHUNK_BYTES_MAX) throw badChunker(text, `a chunk has at most ${CHUNK_BYTES_MAX} bytes`);
  return rabin({ min, average, max });
}

function badChunker(text: string, problem: string) {
  return bad('chunker', `"${text.slice(0, 80)}"; ${problem}`);
}

function within(field: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw bad(field, `${value}; it is a whole number from ${min} to ${max}`);
}

function bad(field: string, problem: string) {
  return invalidField(`import.${field}`, problem);
}
