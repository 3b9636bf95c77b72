import { createHash } from 'node:crypto';
import { ridOf } from '../../../src/consensus/crdt/codec/header.ts';
import type { ReplicaName } from '../../../src/consensus/crdt/state/replicas.ts';
import { byteString } from '../../../src/model/bytes.ts';
import { parsePeerId, peerIdOfPublicKey } from '../../../src/model/peer-id.ts';
import type { PinKey } from '../../../src/model/pin.ts';
import { bucketCount, bucketOf, pinKey } from '../../../src/model/pin-key.ts';
import type { Names, NameTable } from '../../../src/pinset/pinset.ts';

/** Peers A, B and C, each with a replica of the same number; replica 3 is the second incarnation of A. */
export const peersMax = 3;
export const replicasMax = 4;
export const secondIncarnation = 3;
export const keysMax = 2;
/** The ranges of a rebuild: one for each key. */
export const rangeEnds: readonly number[] = [bucketCount / 2, bucketCount];

export interface ReplicaOfWorld extends ReplicaName {
  readonly number: number;
  readonly ridText: string;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest();

const peerIds = Array.from({ length: peersMax }, (_, peer) => peerIdOfPublicKey(sha256(`peer ${peer}`)));

/** Local numbers are the same at every peer, and rids order as the numbers do. */
export const replicas: readonly ReplicaOfWorld[] = Array.from({ length: replicasMax }, (_, number) => {
  const author = parsePeerId(peerIds[number % peersMax] as string);
  for (let tried = 0; ; tried++) {
    const incarnation = Buffer.alloc(8);
    incarnation.writeUInt32BE(tried, 4);
    const rid = ridOf(author.subarray(6), incarnation);
    if (rid[0] === (number + 1) * 16) return { number, rid, ridText: byteString(rid), author, incarnation };
  }
});

const numbers = new Map(replicas.map(({ ridText, number }) => [ridText, number]));

export function replicaNumber(rid: Uint8Array): number {
  const number = numbers.get(byteString(rid));
  if (number === undefined) throw new Error('a replica that is not of this world');
  return number;
}

/** Key 0 lies in the first range of buckets, key 1 in the second. */
export const keys: readonly PinKey[] = rangeEnds.map((end, i) => {
  for (let tried = 0; ; tried++) {
    const key = pinKey(Uint8Array.from([1, 0x55, 0x12, 0x20, ...sha256(`key ${tried}`)]), 'default');
    const bucket = bucketOf(key);
    if (bucket < end && bucket >= (rangeEnds[i - 1] ?? 0)) return key;
  }
});

export function keyNumber(key: Uint8Array): number {
  const number = keys.findIndex((other) => Buffer.compare(other, key) === 0);
  if (number < 0) throw new Error('a key that is not of this world');
  return number;
}

function table<T>(names: readonly T[], isSame: (a: T, b: T) => boolean): NameTable<T> {
  const find = (name: T) => {
    const number = names.findIndex((other) => isSame(other, name));
    return number < 0 ? undefined : number;
  };
  const known = (number: number | undefined): number => {
    if (number === undefined) throw new Error('a name that is not of this world');
    return number;
  };
  return { find, ensure: (name) => known(find(name)), name: (number) => names[known(number)] as T };
}

export const names: Names = {
  replicas: table(
    replicas.map(({ rid }) => rid),
    (a, b) => Buffer.compare(a, b) === 0,
  ),
  peers: table(peerIds, (a, b) => a === b),
  namespaces: table(['default'], (a, b) => a === b),
};

export function peerId(peer: number): string {
  return peerIds[peer % peersMax] as string;
}

/** In stories. */
export function peerName(peer: number): string {
  return 'ABC'[peer] as string;
}

/** D is the second incarnation of A. */
export function replicaName(replica: number): string {
  return 'ABCD'[replica] as string;
}

export function dotName(replica: number, sequence: number): string {
  return `${replicaName(replica)}${sequence}`;
}
