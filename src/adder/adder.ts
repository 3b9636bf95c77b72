import { type ImportCandidate, type ImportResult, importer } from 'ipfs-unixfs-importer';
import { fixedSize } from 'ipfs-unixfs-importer/chunker';
import { balanced } from 'ipfs-unixfs-importer/layout';
import type { CID } from 'multiformats/cid';
import { invalidField } from '../model/errors.ts';
import { iterateUntil } from '../runtime/abort.ts';
import type { MetricsRegister } from '../runtime/metrics.ts';
import { BlockBatches, type BlockSink } from './block-batches.ts';
import { CHUNK_BYTES_MAX, CHUNKS_IN_FLIGHT_MAX, NODE_LINKS_MAX, ROOTS_HELD_MAX } from './constants.ts';
import { EntryPaths } from './entry-paths.ts';
import { type AdderMetrics, adderMetrics } from './metrics.ts';

export interface AdderNeeds {
  metrics: MetricsRegister;
}

export interface AddEntry {
  /** Relative, `/` between names: "photos/cat.jpg". A directory comes before what is in it, or is left out. */
  path: string;
  /** Absent: a directory. Read to its end before the next entry is asked for. */
  content?: AsyncIterable<Uint8Array>;
  /** Unix permission bits, kept in the DAG. Default: not kept, as Kubo. */
  mode?: number;
  /** Kept in the DAG. Default: not kept, as Kubo. */
  mtime?: { secs: bigint; nsecs?: number };
}

/** The defaults give the CIDs of `ipfs add --cid-version=1 --raw-leaves` of Kubo. */
export interface AddOptions {
  /** Aborting ends the add: nothing more is read or written, and nothing was pinned. */
  signal: AbortSignal;
  /** Puts everything into one more directory, without a name. Default false: each top-level entry is a root. */
  wrapWithDirectory?: boolean;
  /** Default 1. */
  cidVersion?: 0 | 1;
  /** Default: true for CIDs of version 1, false for version 0. */
  rawLeaves?: boolean;
  /** Bytes of a leaf. Default 262,144. */
  chunkBytes?: number;
  /** Links of an inner node of a file. Default 174. */
  nodeLinks?: number;
  /** Called after each piece that came in, and each block that was made. */
  onProgress?: (sofar: AddProgress) => void;
}

export interface AddProgress {
  /** Of content, read so far. */
  bytes: number;
  blocks: number;
}

export interface Added {
  /** As given; of the wrapping directory: ''. */
  path: string;
  cid: Uint8Array;
  /** Of the whole DAG, blocks that occur in it twice counted twice; what Kubo shows. */
  dagBytes: number;
  /** Of the file. Absent for directories. */
  contentBytes?: number;
  /** Whether it is to be pinned: in no other that was added. */
  isRoot: boolean;
}

export interface Adder {
  /**
   * Makes UnixFS DAGs of what streams in and hands their blocks to the sink, in constant memory but for the names. Yields every file and
   * directory (but empty ones inside others) when it is made, each root after the sink has stored everything of it, the roots last of what
   * lies in them. Throws PinfoldError (INVALID_ARGUMENT naming the field), what the sink rejected with, the signal's reason, or what the content
   * threw; when it ends, nothing is on its way to the sink any more.
   */
  add(entries: AsyncIterable<AddEntry>, sink: BlockSink, options: AddOptions): AsyncGenerator<Added, void, undefined>;
}

export function adder(needs: AdderNeeds): Adder {
  let open = 0;
  const metrics = adderMetrics(needs.metrics, { open: () => open });
  return {
    async *add(entries, sink, options) {
      let outcome = 'aborted';
      open++;
      try {
        yield* add(sink, metrics, entries, options);
        outcome = 'done';
      } catch (cause) {
        if (!options.signal.aborted) outcome = 'failed';
        throw cause;
      } finally {
        open--;
        metrics.adds.add(1, { outcome });
      }
    },
  };
}

async function* add(
  sink: BlockSink,
  metrics: AdderMetrics,
  entries: AsyncIterable<AddEntry>,
  options: AddOptions,
): AsyncGenerator<Added> {
  const settings = checked(options);
  const batches = new BlockBatches(sink, options);
  const sofar: AddProgress = { bytes: 0, blocks: 0 };
  try {
    const store = {
      put: async (cid: CID, bytes: Uint8Array) => {
        await batches.put({ cid: cid.bytes, bytes });
        metrics.blocks.add(1);
        metrics.blockBytes.add(bytes.length);
        sofar.blocks++;
        options.onProgress?.(sofar);
        return cid;
      },
    };
    const results = importer(candidates(entries, sofar, options, metrics), store as Parameters<typeof importer>[1], settings);
    yield* heldUntilStored(results, batches, options);
  } finally {
    await batches.settled();
  }
}

/** Roots wait for the flush, and share it. */
async function* heldUntilStored(
  results: AsyncIterable<ImportResult>,
  batches: BlockBatches,
  options: AddOptions,
): AsyncGenerator<Added> {
  let held: Added[] = [];
  for await (const result of results) {
    options.signal.throwIfAborted();
    const added = addedOf(result, options);
    if (!added.isRoot) yield added;
    else if (held.push(added) >= ROOTS_HELD_MAX) {
      await batches.flush();
      yield* held;
      held = [];
    }
  }
  await batches.flush();
  options.signal.throwIfAborted();
  yield* held;
}

async function* candidates(
  entries: AsyncIterable<AddEntry>,
  sofar: AddProgress,
  options: AddOptions,
  metrics: AdderMetrics,
): AsyncGenerator<ImportCandidate> {
  const paths = new EntryPaths();
  for await (const entry of iterateUntil(entries, options.signal)) {
    paths.add(entry.path, entry.content !== undefined);
    const { path, content } = entry;
    const kept = { ...(entry.mode !== undefined && { mode: entry.mode }), ...(entry.mtime && { mtime: entry.mtime }) };
    if (content === undefined) {
      yield { path, ...kept };
      continue;
    }
    const counted = (async function* () {
      for await (const piece of iterateUntil(content, options.signal)) {
        yield piece;
        sofar.bytes += piece.length;
        metrics.contentBytes.add(piece.length);
        options.onProgress?.(sofar);
      }
    })();
    yield { path, content: counted, ...kept };
  }
}

function addedOf(result: ImportResult, options: AddOptions): Added {
  const path = result.path ?? '';
  const isDirectory = result.unixfs?.isDirectory() === true;
  const contentBytes = result.unixfs === undefined ? result.size : result.unixfs.fileSize();
  return {
    path,
    cid: result.cid.bytes,
    dagBytes: Number(result.size),
    ...(!isDirectory && { contentBytes: Number(contentBytes) }),
    isRoot: options.wrapWithDirectory === true ? path === '' : !path.includes('/'),
  };
}

function checked(options: AddOptions) {
  const { cidVersion = 1, rawLeaves = cidVersion === 1, chunkBytes = 262_144, nodeLinks = 174 } = options;
  if (cidVersion !== 0 && cidVersion !== 1) throw invalidField('cidVersion', `${cidVersion}; it is 0 or 1`);
  checkRange('chunkBytes', chunkBytes, 1, CHUNK_BYTES_MAX);
  checkRange('nodeLinks', nodeLinks, 2, NODE_LINKS_MAX);
  return {
    cidVersion,
    rawLeaves,
    wrapWithDirectory: options.wrapWithDirectory ?? false,
    chunker: fixedSize({ chunkSize: chunkBytes }),
    layout: balanced({ maxChildrenPerNode: nodeLinks }),
    // One at a time: entries arrive in one stream, the next one after the content of this one.
    fileImportConcurrency: 1,
    blockWriteConcurrency: CHUNKS_IN_FLIGHT_MAX,
    // As Kubo: directories become HAMT shards above 256 KiB of names and CIDs.
    shardSplitThresholdBytes: 262_144,
    shardSplitStrategy: 'links-bytes' as const,
  };
}

function checkRange(field: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw invalidField(field, `${value}; it is a whole number from ${min} to ${max}`);
  }
}
