import { CID } from 'multiformats/cid';
import type { HoldMode, IpfsNodeId } from '../connector.ts';
import { RpcError } from './rpc-error.ts';

/** Kubo's answers, read with care: what answers need not be Kubo. All throw RpcError 'garbled'. */

export function nodeId(answer: unknown): IpfsNodeId {
  const { ID: peerId, Addresses: addresses, AgentVersion: agent } = object(answer, 'id');
  if (typeof peerId !== 'string' || typeof agent !== 'string') throw unexpected('id');
  // A node that listens nowhere says null.
  if (addresses !== null && !isTexts(addresses)) throw unexpected('id');
  const end = `/p2p/${peerId}`;
  const whole = (addresses ?? []).map((address) => (address.endsWith(end) ? address : `${address}${end}`));
  // Kubo ends its version with a slash where the commit would follow.
  return { peerId, addresses: whole, agent: agent.replace(/\/$/, '') };
}

/** One line of `pin/add`: how many blocks so far, or at the end what is pinned. */
export function pinAddLine(line: unknown): { blocks: number } | { pinned: string[] } {
  const { Progress: progress = 0, Pins: pins } = object(line, 'pin/add');
  if (pins !== undefined && pins !== null) {
    if (!isTexts(pins)) throw unexpected('pin/add');
    return { pinned: pins };
  }
  if (typeof progress !== 'number') throw unexpected('pin/add');
  return { blocks: progress };
}

/** The answer of `pin/update`: what it was given, old and new. */
export function updatedPins(answer: unknown): string[] {
  const { Pins: pins } = object(answer, 'pin/update');
  if (!isTexts(pins)) throw unexpected('pin/update');
  return pins;
}

/** One line of `pin/ls` with `stream`. */
export function pinLsLine(line: unknown): { cid: Uint8Array } {
  return { cid: cidOf(object(line, 'pin/ls').Cid, 'pin/ls') };
}

/** The answer of `pin/ls` to a question about one CID. */
export function pinMode(answer: unknown): HoldMode | 'none' {
  const keys = Object.values(object(object(answer, 'pin/ls').Keys, 'pin/ls'));
  const [only] = keys;
  if (keys.length === 0) return 'none';
  const { Type: type } = object(only, 'pin/ls');
  if (keys.length > 1 || (type !== 'recursive' && type !== 'direct')) throw unexpected('pin/ls');
  return type;
}

export function putBlockLine(line: unknown): Uint8Array {
  return cidOf(object(line, 'block/put').Key, 'block/put');
}

/** Of a line of dag/import: blocks that are said to be imported. */
export function importedBlocks(line: unknown): number {
  const { Stats: stats } = object(line, 'dag/import');
  if (stats === undefined) return 0;
  const { BlockCount: count } = object(stats, 'dag/import');
  if (typeof count !== 'number') throw unexpected('dag/import');
  return count;
}

export function collectedLine(line: unknown): Uint8Array {
  return cidOf(object(object(line, 'repo/gc').Key, 'repo/gc')['/'], 'repo/gc');
}

/** Where a name leads: `/ipfs/CID/a/b`. */
export function namedPath(answer: unknown): string {
  const { Path: path } = object(answer, 'name/resolve');
  if (typeof path !== 'string') throw unexpected('name/resolve');
  return path;
}

export function repoSize(answer: unknown): { usedBytes: number; mostBytes: number } {
  const { RepoSize: usedBytes, StorageMax: mostBytes } = object(answer, 'repo/stat');
  if (typeof usedBytes !== 'number' || typeof mostBytes !== 'number') throw unexpected('repo/stat');
  return { usedBytes, mostBytes };
}

export function freeDiskBytes(answer: unknown): number {
  const { free_space: free } = object(object(answer, 'diag/sys').diskinfo, 'diag/sys');
  if (typeof free !== 'number') throw unexpected('diag/sys');
  return free;
}

export function blocksReceived(answer: unknown): number {
  const { BlocksReceived: count } = object(answer, 'bitswap/stat');
  if (typeof count !== 'number') throw unexpected('bitswap/stat');
  return count;
}

function object(value: unknown, command: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw unexpected(command);
  return value as Record<string, unknown>;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function cidOf(text: unknown, command: string): Uint8Array {
  if (typeof text !== 'string') throw unexpected(command);
  try {
    return CID.parse(text).bytes;
  } catch (cause) {
    throw new RpcError('garbled', `the IPFS node answered ${command} with what is no CID`, { cause });
  }
}

function unexpected(command: string): RpcError {
  return new RpcError('garbled', `the IPFS node answered ${command} in a form that is not known`);
}
