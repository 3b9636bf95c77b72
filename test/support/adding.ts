import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { CID } from 'multiformats/cid';
import {
  type AddProgress,
  AddRequestSchema,
  type AddStartSchema,
  ContentFormat,
} from '../../gen/pinfold/v1/pin_service_pb.ts';
import type { LocalPeer } from '../../scripts/local-cluster.ts';
import { encodeNode, encodeUnixfs, UNIXFS } from '../../src/adder/unixfs/encode.ts';
import { carHeader, carSection } from '../../src/ipfs/dag/car-writer.ts';
import { hashers } from '../../src/ipfs/dag/hashers.ts';
import { seededBytes } from './seeded-bytes.ts';

const pieceBytes = 512 * 1024;

export interface AddedHere {
  cid: string;
  allocations: string[];
  progress: AddProgress | undefined;
}

/** Adds one stream of content: a file, or a CAR. `pace` is waited for before each piece. */
export async function addStream(
  peer: LocalPeer,
  start: MessageInitShape<typeof AddStartSchema>,
  pieces: Iterable<Uint8Array<ArrayBuffer>>,
  pace: (piece: number) => Promise<void> | void = () => {},
): Promise<AddedHere> {
  async function* requests() {
    yield create(AddRequestSchema, { message: { case: 'start', value: start } });
    if (start.format !== ContentFormat.CAR) {
      yield create(AddRequestSchema, { message: { case: 'entry', value: { path: 'content' } } });
    }
    let piece = 0;
    for (const value of pieces) {
      await pace(piece++);
      yield create(AddRequestSchema, { message: { case: 'data', value } });
    }
  }
  let added: AddedHere | undefined;
  let progress: AddProgress | undefined;
  for await (const { message } of peer.clients.pins.add(requests())) {
    if (message.case === 'progress') progress = message.value;
    if (message.case === 'root') {
      const { cid = '', allocations = [] } = message.value.pin ?? {};
      added = { cid, allocations, progress };
    }
  }
  if (added === undefined) throw new Error('the add ended without a root');
  return added;
}

/** So many bytes that look random, in pieces, made as they are asked for. */
export function* seededPieces(seed: string, bytes: number): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0, piece = 0; at < bytes; at += pieceBytes, piece++) {
    yield seededBytes(`${seed} ${piece}`, Math.min(pieceBytes, bytes - at));
  }
}

/** SHA-256 of all pieces. */
export async function digestOf(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<string> {
  const digest = createHash('sha256');
  for await (const piece of pieces) digest.update(piece);
  return digest.digest('hex');
}

/** What a peer gives out of a file. */
export async function* exported(peer: LocalPeer, path: string): AsyncGenerator<Uint8Array> {
  for await (const { message } of peer.clients.pins.export({ path })) {
    if (message.case === 'data') yield message.value;
  }
}

/** Folders of small files below `root`, as many in each. */
export async function smallFiles(root: string, folders: number, filesEach: number): Promise<void> {
  for (let folder = 0; folder < folders; folder++) {
    const path = join(root, `folder ${folder}`);
    await mkdir(path, { recursive: true });
    for (let file = 0; file < filesEach; file++) await writeFile(join(path, `file-${file}.txt`), `${folder} ${file}\n`);
  }
}

/** A CAR of one file with leaves of 256 KiB, the root first, made as it is asked for; and the digest of the file. */
export function carOfFile(
  seed: string,
  leaves: number,
): { root: CID; pieces: () => Generator<Uint8Array<ArrayBuffer>> } {
  const leafBytes = 256 * 1024;
  const leaf = (i: number) => seededBytes(`${seed} ${i}`, leafBytes);
  const links = Array.from({ length: leaves }, (_, i) => ({
    name: '',
    cid: cidOf(0x55, leaf(i)),
    dagBytes: leafBytes,
  }));
  const blockSizes = links.map(() => leafBytes);
  const node = encodeNode(links, encodeUnixfs({ type: UNIXFS.file, fileSize: leaves * leafBytes, blockSizes }));
  const root = cidOf(0x70, node);
  return {
    root,
    *pieces() {
      yield Buffer.concat([carHeader([root]), ...carSection(root, node)]);
      for (const [i, { cid }] of links.entries()) {
        const bytes = leaf(i);
        yield Buffer.concat(carSection(cid, bytes));
      }
    },
  };
}

function cidOf(codec: number, bytes: Uint8Array): CID {
  const digest = hashers.get(0x12)?.digest(bytes);
  if (digest === undefined || digest instanceof Promise) throw new Error('SHA-256 is synchronous');
  return CID.createV1(codec, digest);
}
