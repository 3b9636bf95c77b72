import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import {
  type AddEntrySchema,
  type AddedRoot,
  type AddProgress,
  type AddRequest,
  AddRequestSchema,
  type AddResponse,
  AddResponseSchema,
  type AddStartSchema,
  ContentFormat,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { type Ack, ackFlag, ackFrom, isLess, levelText, noteLess } from '../ack-flag.ts';
import { CliError, usageError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import { type ImportFlags, importFlags, importOptionsFrom } from '../import-flags.ts';
import { type LocalEntry, localEntries, type WalkOptions } from '../local-files.ts';
import { countOf, formatBytes, type Output } from '../output.ts';
import { type PinFlags, pinFlags, pinOptionsFrom } from '../pin-flags.ts';
import { type BytesProgress, bytesProgressOf } from '../progress.ts';
import type { Run } from '../run.ts';
import { noteUnseen } from '../unseen.ts';
import { waitForPins } from '../wait-for-pins.ts';

/** Of content in one message. */
const pieceBytes = 512 * 1024;
/** Up to this size a file is sent together with its name. */
const wholeBytesMax = 64 * 1024;

const billion = 1_000_000_000n;

interface AddFlags extends PinFlags, ImportFlags {
  format: string;
  ack?: string;
  wrap?: boolean;
  hidden?: boolean;
  local?: boolean;
  wait?: boolean;
  emptyDirs: boolean;
  dereferenceSymlinks?: boolean;
  preserveMode?: boolean;
  preserveMtime?: boolean;
  /** Named so as not to be that of the pin. */
  fileMode?: string;
  mtime?: string;
  onlyCids?: boolean;
  onlyRoots?: boolean;
}

export function addCommand(program: Command, run: Run): void {
  ackFlag(importFlags(pinFlags(program.command('add <path...>'))))
    .description('add files, directories or CARs, and pin them (- reads standard input)')
    .option('--format <format>', 'files, or car: the blocks of one archive, whose roots are pinned', 'files')
    .option('-w, --wrap', 'put all paths into one directory')
    .option('-H, --hidden', 'take files and directories whose names begin with a dot, too')
    .option('--no-empty-dirs', 'leave out empty directories')
    .option('--dereference-symlinks', 'add what symbolic links lead to, not the links')
    .option('--preserve-mode', 'keep the permissions of files')
    .option('--preserve-mtime', 'keep the times of files')
    .option('--file-mode <octal>', 'keep these permissions for all files and directories: 0644')
    .option('--mtime <seconds>', 'keep this time for all: seconds since 1970')
    .option('--local', 'store the blocks in the IPFS node of this peer only; the others fetch them from it')
    .option('--wait', 'wait until all its peers have it pinned')
    .option('-q, --only-cids', 'write CIDs only')
    .option('-Q, --only-roots', 'write the CIDs of what is pinned only')
    .addHelpText(
      'after',
      `
Equal input and options give the CIDs of ipfs add.

Examples:
  pinfold add photos/ --name photos -r 2
  tar c . | pinfold add - --name backup.tar
  pinfold add photos/ -r 2 --cid-version 1 --wait
  pinfold add --format car dataset.car -r 3
  pinfold add -Q site/ -r 2`,
    )
    .action(run((context, paths: string[], flags: AddFlags) => addPaths(context, paths, flags)));
}

async function addPaths(context: CliContext, paths: string[], flags: AddFlags): Promise<void> {
  const { out } = context;
  const ack = ackFrom(flags.ack);
  const start = startFrom(flags, paths, ack, out.json);
  const walk: WalkOptions = {
    hidden: flags.hidden === true,
    dereference: flags.dereferenceSymlinks === true,
    emptyDirectories: flags.emptyDirs,
  };
  const total = out.interactive && !paths.includes('-') ? await bytesBelow(paths, walk) : undefined;
  const progress = bytesProgressOf(out, total);
  const clients = await context.clients();
  const reading: Reading = { failure: undefined };
  const told = new Told(out, progress, flags, ack);
  try {
    for await (const response of clients.pins.add(requests(paths, walk, start, flags, reading))) told.take(response);
  } catch (error) {
    throw reading.failure ?? error;
  } finally {
    progress.stop();
  }
  told.end();
  if (flags.wait === true) await waitForPins(context, clients.pins, told.roots);
}

/** What the peer says, told to people or programs. */
class Told {
  readonly roots: AddedRoot[] = [];
  readonly #out: Output;
  readonly #progress: BytesProgress;
  readonly #flags: AddFlags;
  readonly #ack: Ack | undefined;
  readonly #unseen = new Set<string>();
  readonly #failed = new Set<string>();
  #last: AddProgress | undefined;
  #less = 0;

  constructor(out: Output, progress: BytesProgress, flags: AddFlags, ack: Ack | undefined) {
    this.#out = out;
    this.#progress = progress;
    this.#flags = flags;
    this.#ack = ack;
  }

  take(response: AddResponse): void {
    const { message } = response;
    if (this.#out.json) this.#out.message(AddResponseSchema, response);
    if (message.case === 'progress') this.#reached(message.value);
    else if (message.case === 'node') this.#node(message.value.cid, message.value.path, Number(message.value.size));
    else if (message.case === 'root') this.#root(message.value);
  }

  end(): void {
    for (const { peerId, sentBytes, bytes, error } of this.#last?.destinations ?? []) {
      const had = bytes > sentBytes ? `, ${formatBytes(Number(bytes - sentBytes))} were there` : '';
      if (error === '') this.#out.note(`${peerId}: ${formatBytes(Number(sentBytes))} sent${had}`);
    }
    noteUnseen(this.#out, this.#unseen);
    noteLess(this.#out, this.#less, this.#ack);
  }

  #reached(progress: AddProgress): void {
    this.#last = progress;
    this.#progress.reach(Number(progress.bytes));
    for (const { peerId, error } of progress.destinations) {
      if (error === '' || this.#failed.has(peerId)) continue;
      this.#failed.add(peerId);
      this.#out.note(`${peerId} gets no more of it: ${error}`);
    }
  }

  #node(cid: string, path: string, bytes: number): void {
    if (this.#flags.onlyRoots === true) return;
    const size = bytes === 0 ? '' : `  ${formatBytes(bytes)}`;
    this.#progress.line(this.#flags.onlyCids === true ? cid : `added  ${cid}  ${path}${size}`);
  }

  #root(root: AddedRoot): void {
    this.roots.push(root);
    const { pin, unseenBy, level } = root;
    if (isLess(level, this.#ack)) this.#less++;
    for (const peerId of unseenBy) this.#unseen.add(peerId);
    if (this.#flags.onlyRoots === true) this.#progress.line(pin?.cid ?? '');
    if (this.#flags.onlyRoots === true || this.#flags.onlyCids === true) return;
    const where = pin?.allocations.length ? `on ${countOf(pin.allocations.length, 'peer')}` : 'everywhere';
    const reached = this.#ack === undefined ? '' : `  ${levelText(level)}`;
    this.#progress.line(`pinned ${pin?.cid}  ${pin?.options?.name ?? ''}  ${where}${reached}`);
  }
}

type Start = MessageInitShape<typeof AddStartSchema>;

/** Throws USAGE. */
function startFrom(flags: AddFlags, paths: readonly string[], ack: Ack | undefined, isJson: boolean): Start {
  const options = importOptionsFrom(flags);
  const isCar = flags.format === 'car';
  if (!isCar && flags.format !== 'files') throw usageError(`--format must be files or car, not "${flags.format}"`);
  if (isCar && options !== undefined)
    throw usageError('the blocks of a CAR are taken as they are: leave out what decides CIDs');
  if (isCar && flags.wrap === true) throw usageError('--wrap is for files: the roots of a CAR are pinned as they are');
  if (isCar && paths.length > 1) throw usageError('--format car takes one archive at a time');
  return {
    namespace: flags.namespace,
    options: pinOptionsFrom(flags),
    wrapWithDirectory: flags.wrap === true,
    local: flags.local === true,
    quiet: flags.onlyRoots === true && !isJson,
    ...(isCar ? { format: ContentFormat.CAR } : {}),
    ...(options === undefined ? {} : { import: options }),
    ...(ack === undefined ? {} : { ack }),
  };
}

async function bytesBelow(paths: readonly string[], walk: WalkOptions): Promise<number> {
  let bytes = 0;
  for await (const { kind, stats } of localEntries(paths, walk))
    if (kind === 'file') bytes += Number(stats?.size ?? 0n);
  return bytes;
}

/** Why the content could not be read: the call itself only says that it was broken off. */
interface Reading {
  failure: CliError | undefined;
}

async function* requests(
  paths: readonly string[],
  walk: WalkOptions,
  start: Start,
  flags: AddFlags,
  reading: Reading,
): AsyncIterable<AddRequest> {
  yield create(AddRequestSchema, { message: { case: 'start', value: start } });
  const kept = keptBy(flags);
  try {
    if (flags.wrap === true && (flags.fileMode !== undefined || flags.mtime !== undefined))
      yield entryOf('', true, kept());
    for await (const entry of localEntries(paths, walk)) {
      const isContent = entry.kind === 'file' || entry.kind === 'stdin';
      if (flags.format === 'car') {
        if (!isContent) throw usageError(`${entry.file} is no file`);
        yield* dataOf(entry);
        continue;
      }
      const symlink = entry.target === undefined ? {} : { symlink: entry.target };
      const content = isSmall(entry) ? await wholeOf(entry) : undefined;
      const whole = content === undefined ? {} : { content };
      yield entryOf(entry.path, entry.kind === 'directory', { ...symlink, ...kept(entry), ...whole });
      if (isContent && content === undefined) yield* dataOf(entry);
    }
  } catch (cause) {
    // A call that failed is thrown in here, too, where the next piece would have been taken.
    if (cause instanceof CliError) reading.failure = cause;
    throw cause;
  }
}

function entryOf(path: string, directory: boolean, kept: MessageInitShape<typeof AddEntrySchema>): AddRequest {
  return create(AddRequestSchema, { message: { case: 'entry', value: { path, directory, ...kept } } });
}

async function* dataOf(entry: LocalEntry): AsyncGenerator<AddRequest> {
  const isStdin = entry.kind === 'stdin';
  const content = isStdin ? process.stdin : createReadStream(entry.file, { highWaterMark: pieceBytes });
  try {
    for await (const value of content) {
      yield create(AddRequestSchema, { message: { case: 'data', value: value as Uint8Array<ArrayBuffer> } });
    }
  } catch (cause) {
    if (!isReadFailure(cause)) throw cause;
    throw new CliError(`cannot read ${isStdin ? 'standard input' : entry.file}: ${cause.message}`, 'CANNOT_READ');
  }
}

/** Of a small file a stream would cost more than the reading. */
function isSmall({ kind, stats }: LocalEntry): boolean {
  return kind === 'file' && stats !== undefined && stats.size <= wholeBytesMax;
}

async function wholeOf({ file }: LocalEntry): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    const bytes = await readFile(file);
    // It may have grown since: then it goes in pieces.
    return bytes.length <= pieceBytes ? bytes : undefined;
  } catch (cause) {
    throw new CliError(`cannot read ${file}: ${(cause as Error).message}`, 'CANNOT_READ');
  }
}

/** What is kept of entries besides their content. Throws USAGE. */
function keptBy(flags: AddFlags): (entry?: LocalEntry) => MessageInitShape<typeof AddEntrySchema> {
  const { fileMode, mtime } = flags;
  if (fileMode !== undefined && !/^[0-7]{1,5}$/.test(fileMode)) {
    throw usageError(`--file-mode takes octal permissions such as 0644, not "${fileMode}"`);
  }
  if (mtime !== undefined && !/^-?[0-9]{1,15}$/.test(mtime)) {
    throw usageError(`--mtime takes seconds since 1970, not "${mtime}"`);
  }
  return (entry) => {
    const mode =
      fileMode === undefined
        ? flags.preserveMode && entry?.stats && Number(entry.stats.mode & 0o7777n)
        : Number.parseInt(fileMode, 8) & 0o777;
    const time =
      mtime === undefined ? flags.preserveMtime && timeOf(entry) : { seconds: BigInt(mtime), nanoseconds: 0 };
    return { ...(mode ? { mode } : {}), ...(time ? { mtime: time } : {}) };
  };
}

function timeOf(entry: LocalEntry | undefined) {
  if (entry?.stats === undefined) return undefined;
  const { mtimeNs } = entry.stats;
  const nanoseconds = ((mtimeNs % billion) + billion) % billion;
  return { seconds: (mtimeNs - nanoseconds) / billion, nanoseconds: Number(nanoseconds) };
}

/** A failure of the file system or of a pipe, as Node.js tells it. */
function isReadFailure(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}
