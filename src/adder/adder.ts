import type { CID } from 'multiformats/cid';
import { DAG_PB } from '../ipfs/dag/links.ts';
import { invalidField } from '../model/errors.ts';
import { iterateUntil } from '../runtime/abort.ts';
import { contentPassed } from '../runtime/garbage.ts';
import type { MetricsRegister } from '../runtime/metrics.ts';
import { BlockBatches, type BlockSink } from './block-batches.ts';
import { importCar } from './car/import-car.ts';
import { ROOTS_HELD_MAX } from './constants.ts';
import { badPath, namesOf } from './entry-path.ts';
import { type ImportForm, type ImportOptions, importForm } from './import-options.ts';
import { type AdderMetrics, adderMetrics } from './metrics.ts';
import { TreeBuilder } from './tree-builder.ts';
import { BlockMaker } from './unixfs/block-maker.ts';
import { type Attributes, encodeNode, encodeUnixfs, type Link, UNIXFS } from './unixfs/encode.ts';
import { buildFile } from './unixfs/file-builder.ts';

export interface AdderNeeds {
  metrics: MetricsRegister;
}

/** With neither content nor link: a directory. */
export interface AddEntry extends Attributes {
  /**
   * Relative, `/` between names: "photos/cat.jpg". A directory comes before what is in it, or is left out; entries of one directory follow
   * each other.
   */
  path: string;
  /** Of a file. Read to its end before the next entry is asked for. */
  content?: AsyncIterable<Uint8Array>;
  /** What a symbolic link leads to. It is kept as it is, and not followed. */
  symlink?: string;
}

export interface ReadOptions {
  /** Aborting ends the add: nothing more is read or written, and nothing was pinned. */
  signal: AbortSignal;
  /** Called after each piece that came in, and each block. */
  onProgress?: (sofar: AddProgress) => void;
}

export interface AddOptions extends ReadOptions {
  /** Puts everything into one more directory, without a name. Default false: each top-level entry is a root. */
  wrapWithDirectory?: boolean;
  /** Default: as `ipfs add` does by itself. */
  import?: ImportOptions;
}

export interface AddProgress {
  /** Of content, read so far. */
  bytes: number;
  /** Made, or read. */
  blocks: number;
}

export interface Added {
  /** As given; of the wrapping directory, and the roots of a CAR: ''. */
  path: string;
  cid: Uint8Array;
  /** Of the whole DAG, blocks that occur in it twice counted twice; what Kubo shows. Of a root of a CAR: 0. */
  dagBytes: number;
  /** Of the file. Absent for others. */
  contentBytes?: number;
  /** Whether it is to be pinned: in no other that was added. */
  isRoot: boolean;
}

export interface Adder {
  /**
   * Makes UnixFS DAGs of what streams in and hands their blocks to the sink, in constant memory but for the names in the directories on one
   * path. Yields every file, link and directory when it is made, each root after the sink has stored everything of it, the roots last of what
   * lies in them. Throws PinfoldError (INVALID_ARGUMENT naming the field), what the sink rejected with, the signal's reason, or what the content
   * threw; when it ends, nothing is on its way to the sink any more.
   */
  add(entries: AsyncIterable<AddEntry>, sink: BlockSink, options: AddOptions): AsyncGenerator<Added, void, undefined>;
  /** The blocks of a CAR; yields its roots when everything below them is stored. Throws as `add`, also when something is missing. */
  importCar(
    content: AsyncIterable<Uint8Array>,
    sink: BlockSink,
    options: ReadOptions,
  ): AsyncGenerator<Added, void, undefined>;
}

export function adder(needs: AdderNeeds): Adder {
  let open = 0;
  const metrics = adderMetrics(needs.metrics, { open: () => open });

  async function* counted(signal: AbortSignal, adding: AsyncIterable<Added>): AsyncGenerator<Added, void, undefined> {
    let outcome = 'aborted';
    open++;
    try {
      yield* adding;
      outcome = 'done';
    } catch (cause) {
      if (!signal.aborted) outcome = 'failed';
      throw cause;
    } finally {
      open--;
      metrics.adds.add(1, { outcome });
    }
  }

  return {
    add(entries, sink, options) {
      const made = (intake: Intake) => filesOf(entries, intake, options);
      return counted(options.signal, stored(sink, metrics, options, made));
    },
    importCar(content, sink, options) {
      const made = (intake: Intake) => importCar(intake.read(content), (block) => intake.put(block.cid, block.bytes));
      return counted(options.signal, stored(sink, metrics, options, made));
    },
  };
}

/** What one add takes in and hands on, counted. */
interface Intake {
  read(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>;
  put(cid: Uint8Array, bytes: Uint8Array): Promise<void>;
}

/** Roots wait for the flush, and share it. */
async function* stored(
  sink: BlockSink,
  metrics: AdderMetrics,
  options: ReadOptions,
  made: (intake: Intake) => AsyncIterable<Added>,
): AsyncGenerator<Added> {
  const { signal, onProgress } = options;
  const batches = new BlockBatches(sink, options);
  const sofar: AddProgress = { bytes: 0, blocks: 0 };
  let held: Added[] = [];
  try {
    const intake: Intake = {
      async *read(content) {
        for await (const piece of iterateUntil(content, signal)) {
          yield piece;
          sofar.bytes += piece.length;
          metrics.contentBytes.add(piece.length);
          onProgress?.(sofar);
        }
      },
      async put(cid, bytes) {
        await batches.put({ cid, bytes });
        metrics.blocks.add(1);
        metrics.blockBytes.add(bytes.length);
        contentPassed(bytes.length);
        sofar.blocks++;
        onProgress?.(sofar);
      },
    };
    for await (const added of made(intake)) {
      signal.throwIfAborted();
      if (!added.isRoot) yield added;
      else if (held.push(added) >= ROOTS_HELD_MAX) {
        await batches.flush();
        yield* held;
        held = [];
      }
    }
    await batches.flush();
    signal.throwIfAborted();
    yield* held;
  } finally {
    await batches.settled();
  }
}

async function* filesOf(entries: AsyncIterable<AddEntry>, intake: Intake, options: AddOptions): AsyncGenerator<Added> {
  const form = importForm(options.import ?? {});
  const blocks = new BlockMaker(form.block, (cid: CID, bytes) => intake.put(cid.bytes, bytes));
  const tree = new TreeBuilder(form.directory, blocks);
  const wrap = options.wrapWithDirectory === true;
  const added = (path: string, { cid, dagBytes }: Omit<Link, 'name'>): Added => ({
    path,
    cid: cid.bytes,
    dagBytes,
    isRoot: wrap ? path === '' : !path.includes('/'),
  });
  let isAny = false;
  for await (const entry of iterateUntil(entries, options.signal)) {
    isAny = true;
    if (entry.path === '' && wrap && isDirectory(entry)) {
      tree.wrapping(keptOf(entry));
      continue;
    }
    const names = namesOf(entry.path);
    for await (const left of tree.goTo(names)) yield added(left.path, left);
    if (isDirectory(entry)) tree.directory(names, keptOf(entry));
    else {
      const { fileBytes, ...link } = await leafOf(entry, form, intake, blocks);
      tree.put(names, link);
      yield { ...added(entry.path, link), ...(fileBytes === undefined ? {} : { contentBytes: fileBytes }) };
    }
  }
  for await (const left of tree.end(wrap && isAny)) yield added(left.path, left);
}

/** A file, or a symbolic link. */
async function leafOf(
  entry: AddEntry,
  { file, mustBeRaw }: ImportForm,
  intake: Intake,
  blocks: BlockMaker,
): Promise<Omit<Link, 'name'> & { fileBytes?: number }> {
  const kept = keptOf(entry);
  const { content, symlink } = entry;
  if (symlink !== undefined) {
    if (content !== undefined) throw badPath(entry.path, 'has content and a target');
    // As Kubo: the time of a link is kept, its mode never is.
    const { mode: _, ...time } = kept;
    const bytes = encodeNode([], encodeUnixfs({ type: UNIXFS.symlink, data: Buffer.from(symlink), ...time }));
    return { cid: await blocks.put(DAG_PB, bytes), dagBytes: bytes.length };
  }
  const keepsNothing = kept.mode === undefined && kept.mtime === undefined;
  if (!keepsNothing && mustBeRaw) {
    throw invalidField(
      'import.raw_leaves',
      'a raw leaf has no place for a mode or time; leave it out, or do not keep them',
    );
  }
  const rawLeaves = file.rawLeaves && keepsNothing;
  return await buildFile(intake.read(content as AsyncIterable<Uint8Array>), { ...file, rawLeaves }, kept, blocks);
}

function isDirectory({ content, symlink }: AddEntry): boolean {
  return content === undefined && symlink === undefined;
}

/** Throws INVALID_ARGUMENT. A mode of 0 cannot be told from none. */
function keptOf({ path, mode, mtime }: AddEntry): Attributes {
  if (mode !== undefined && (!Number.isInteger(mode) || mode < 0 || mode > 0o7777)) {
    throw invalidField('mode', `${mode} of "${path}"; it has permission bits only, 0 to 07777`);
  }
  const { nsecs = 0 } = mtime ?? {};
  if (!Number.isInteger(nsecs) || nsecs < 0 || nsecs > 999_999_999) {
    throw invalidField('mtime.nanoseconds', `${nsecs} of "${path}"; at most 999999999`);
  }
  return { ...(mode ? { mode } : {}), ...(mtime === undefined ? {} : { mtime }) };
}
