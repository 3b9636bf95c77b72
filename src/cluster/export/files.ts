import type { CID } from 'multiformats/cid';
import { ConnectorError } from '../../ipfs/connector.ts';
import { WALK_PENDING_MAX } from '../../ipfs/constants.ts';
import { IDENTITY_CODE } from '../../ipfs/dag/hashers.ts';
import { formatCid } from '../../model/cid.ts';
import { invalidField, type PinfoldError } from '../../model/errors.ts';
import { EXPORT_DEPTH_MAX, EXPORT_ENTRIES_MAX, EXPORT_PATH_BYTES_MAX, UPCOMING_LOOKED_AT_MAX } from './constants.ts';
import type { ReadAhead } from './read-ahead.ts';
import {
  type FilePart,
  filePartOf,
  type Metadata,
  type NamedLink,
  type UnixfsNode,
  unixfsNodeOf,
} from './unixfs-node.ts';

export interface ExportedEntry extends Metadata {
  /** Below what was asked for, which is '' itself. */
  path: string;
  cid: Uint8Array;
  kind: 'file' | 'directory' | 'symlink';
  /** Of a file, bytes. */
  size: bigint;
  /** Of a symbolic link. */
  target: string | undefined;
}

export type FilesEvent =
  | { kind: 'entry'; entry: ExportedEntry }
  /** Of the file that was told last. */
  | { kind: 'data'; bytes: Uint8Array };

/** What is still to be read, the next one last. */
type Item =
  | { kind: 'entry'; cid: CID; path: string; depth: number }
  /** Of the sharded directory with that path; `bitsUsed` of the hashes of names chose it. */
  | { kind: 'shard'; cid: CID; path: string; depth: number; bitsUsed: number }
  /** Of the file that was told last. */
  | { kind: 'part'; cid: CID; size: bigint };

const HASH_BITS = 64;

/** Files and directories below a CID, depth first, each directory before what is in it. */
export async function* filesOf(root: CID, blocks: ReadAhead): AsyncGenerator<FilesEvent> {
  const walk = new FilesWalk(root);
  for (let item = walk.next(); item !== undefined; item = walk.next()) {
    yield* walk.take(item, await blocks.next(item.cid, walk.upcoming()));
  }
}

class FilesWalk {
  readonly #pending: Item[];
  #entries = 0;

  constructor(root: CID) {
    this.#pending = [{ kind: 'entry', cid: root, path: '', depth: 0 }];
  }

  next(): Item | undefined {
    return this.#pending.pop();
  }

  *upcoming(): Generator<CID> {
    const pending = this.#pending;
    for (let at = pending.length - 1; at >= Math.max(0, pending.length - UPCOMING_LOOKED_AT_MAX); at--) {
      const { cid } = pending[at] as Item;
      if (cid.multihash.code !== IDENTITY_CODE) yield cid;
    }
  }

  *take(item: Item, bytes: Uint8Array): Generator<FilesEvent> {
    switch (item.kind) {
      case 'part':
        yield* this.#content(filePartOf(item.cid, bytes, item.size));
        break;
      case 'shard':
        this.#descend(shardAt(item, bytes), item, item.bitsUsed);
        break;
      case 'entry':
        yield* this.#entry(item, bytes);
        break;
    }
  }

  *#entry(item: Item & { kind: 'entry' }, bytes: Uint8Array): Generator<FilesEvent> {
    const node = unixfsNodeOf(item.cid, bytes);
    if (node === undefined) throw noFile(item);
    if (++this.#entries > EXPORT_ENTRIES_MAX) throw asCar(`more than ${EXPORT_ENTRIES_MAX} files and directories`);
    yield { kind: 'entry', entry: entryOf(item, node) };
    if (node.kind === 'file') yield* this.#content(node);
    else if (node.kind === 'directory') this.#push(node.links.map((link) => within(item, link)));
    else if (node.kind === 'shard') this.#descend(node, item, 0);
  }

  *#content({ data, parts }: FilePart): Generator<FilesEvent> {
    if (data.length > 0) yield { kind: 'data', bytes: data };
    this.#push(parts.map(({ cid, size }) => ({ kind: 'part', cid, size })));
  }

  #descend({ shard, links }: UnixfsNode & { kind: 'shard' }, at: Place, bitsUsedAbove: number): void {
    const bitsUsed = bitsUsedAbove + shard.bits;
    if (bitsUsed > HASH_BITS) throw invalid(at, 'has shards below shards for more bits than a hash has');
    const prefixLength = Math.ceil(shard.bits / 4);
    this.#push(
      links.map(({ name, cid }): Item => {
        if (name.length === prefixLength) return { kind: 'shard', cid, path: at.path, depth: at.depth, bitsUsed };
        return within(at, { name: name.slice(prefixLength), cid });
      }),
    );
  }

  #push(items: Item[]): void {
    if (this.#pending.length + items.length > WALK_PENDING_MAX) throw asCar(`more than ${WALK_PENDING_MAX} links wait`);
    for (let at = items.length - 1; at >= 0; at--) this.#pending.push(items[at] as Item);
  }
}

interface Place {
  path: string;
  cid: CID;
  depth: number;
}

function within({ path, depth }: Place, { name, cid }: NamedLink): Item {
  const below = path === '' ? name : `${path}/${name}`;
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
    throw asCar(`${shown(path)} has an entry with the name ${shown(name)}, which no file can have`);
  }
  if (depth >= EXPORT_DEPTH_MAX) throw asCar(`${shown(below)} is deeper than ${EXPORT_DEPTH_MAX}`);
  if (Buffer.byteLength(below) > EXPORT_PATH_BYTES_MAX) {
    throw asCar(`${shown(below)} has more than ${EXPORT_PATH_BYTES_MAX} bytes`);
  }
  return { kind: 'entry', cid, path: below, depth: depth + 1 };
}

function shardAt(item: Item & { kind: 'shard' }, bytes: Uint8Array): UnixfsNode & { kind: 'shard' } {
  const node = unixfsNodeOf(item.cid, bytes);
  if (node?.kind === 'shard') return node;
  throw invalid(item, 'stands in a sharded directory and is no shard');
}

function entryOf({ path, cid }: Place, node: UnixfsNode): ExportedEntry {
  const { mode, mtime } = node;
  return {
    ...{ path, cid: cid.bytes, mode, mtime },
    kind: node.kind === 'shard' ? 'directory' : node.kind,
    size: node.kind === 'file' ? node.size : 0n,
    target: node.kind === 'symlink' ? node.target : undefined,
  };
}

function noFile({ path, cid }: Place): PinfoldError {
  const where = path === '' ? '' : ` at ${shown(path)}`;
  return asCar(`${formatCid(cid.bytes)}${where} is neither a file nor a directory (codec 0x${cid.code.toString(16)})`);
}

function asCar(problem: string): PinfoldError {
  return invalidField('format', `${problem}; export it as a CAR`);
}

function invalid({ cid }: Place, what: string): ConnectorError {
  return new ConnectorError('INVALID_DAG', `the block ${formatCid(cid.bytes)} ${what}`);
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
