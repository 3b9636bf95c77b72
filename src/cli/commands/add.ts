import { createReadStream } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import { type AddRequest, AddRequestSchema, AddResponseSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { ackFlag, ackFrom, isLess, levelText, noteLess } from '../ack-flag.ts';
import { CliError, usageError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import { countOf } from '../output.ts';
import { type PinFlags, pinFlags, pinOptionsFrom } from '../pin-flags.ts';
import { bytesProgressOf } from '../progress.ts';
import type { Run } from '../run.ts';
import { noteUnseen } from '../unseen.ts';

interface AddFlags extends PinFlags {
  ack?: string;
  wrap?: boolean;
  hidden?: boolean;
}

export function addCommand(program: Command, run: Run): void {
  ackFlag(pinFlags(program.command('add <path...>')))
    .description('add files and directories, and pin them (- reads one file from standard input)')
    .option('--wrap', 'put all paths into one directory')
    .option('--hidden', 'take files and directories whose names begin with a dot, too')
    .addHelpText(
      'after',
      '\nExamples:\n  pinfold add photos/ --name photos -r 2\n  tar c . | pinfold add - --name backup.tar\n  pinfold add photos/ -r 2 --ack pinned=2',
    )
    .action(run((context, paths: string[], flags: AddFlags) => addPaths(context, paths, flags)));
}

async function addPaths(context: CliContext, paths: string[], flags: AddFlags): Promise<void> {
  const { out } = context;
  const entries = await entriesOf(paths, flags.hidden === true);
  const total = entries.reduce((sum, entry) => sum + (entry.size ?? 0), 0);
  const progress = bytesProgressOf(out, entries.some((entry) => entry.size === undefined) ? undefined : total);
  const { pins } = await context.clients();
  const reading: Reading = { failure: undefined };
  const unseen = new Set<string>();
  const ack = ackFrom(flags.ack);
  let less = 0;
  try {
    for await (const response of pins.add(requests(entries, flags, reading))) {
      const { message } = response;
      if (message.case === 'progress') progress.reach(Number(message.value.bytes));
      else if (out.json) out.message(AddResponseSchema, response);
      else if (message.case === 'node') progress.line(`added  ${message.value.cid}  ${message.value.path}`);
      else if (message.case === 'root') {
        const { pin, unseenBy, level } = message.value;
        if (isLess(level, ack)) less++;
        const where = pin?.allocations.length ? `on ${countOf(pin.allocations.length, 'peer')}` : 'everywhere';
        const reached = ack === undefined ? '' : `  ${levelText(level)}`;
        progress.line(`pinned ${pin?.cid}  ${pin?.options?.name ?? ''}  ${where}${reached}`);
        for (const peerId of unseenBy) unseen.add(peerId);
      }
    }
  } catch (error) {
    throw reading.failure ?? error;
  } finally {
    progress.stop();
  }
  noteUnseen(out, unseen);
  noteLess(out, less, ack);
}

/** Why the content could not be read: the call itself only says that it was broken off. */
interface Reading {
  failure: CliError | undefined;
}

interface Entry {
  path: string;
  /** Undefined: standard input. */
  file: string | undefined;
  directory: boolean;
  /** Undefined: not known. */
  size: number | undefined;
}

async function entriesOf(paths: readonly string[], hidden: boolean): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const path of paths) {
    if (path === '-') entries.push({ path: 'stdin', file: undefined, directory: false, size: undefined });
    else await walk(path, basename(join(process.cwd(), path)), hidden, entries);
  }
  return entries;
}

async function walk(file: string, path: string, hidden: boolean, entries: Entry[]): Promise<void> {
  const stat = await lstat(file).catch((cause) => {
    throw new CliError(`cannot read ${file}: ${(cause as Error).message}`, 'CANNOT_READ');
  });
  if (stat.isFile()) entries.push({ path, file, directory: false, size: stat.size });
  else if (stat.isDirectory()) {
    entries.push({ path, file, directory: true, size: 0 });
    for (const name of (await readdir(file)).sort()) {
      if (hidden || !name.startsWith('.')) await walk(join(file, name), `${path}/${name}`, hidden, entries);
    }
  } else {
    throw usageError(`${file} is neither a file nor a directory (links and devices cannot be added)`);
  }
}

async function* requests(entries: readonly Entry[], flags: AddFlags, reading: Reading): AsyncIterable<AddRequest> {
  const ack = ackFrom(flags.ack);
  const start = {
    namespace: flags.namespace,
    options: pinOptionsFrom(flags),
    wrapWithDirectory: flags.wrap === true,
    ...(ack === undefined ? {} : { ack }),
  };
  yield create(AddRequestSchema, { message: { case: 'start', value: start } });
  for (const { path, file, directory } of entries) {
    yield create(AddRequestSchema, { message: { case: 'entry', value: { path, directory } } });
    if (directory) continue;
    const content = file === undefined ? process.stdin : createReadStream(file, { highWaterMark: 256 * 1024 });
    try {
      for await (const value of content) {
        yield create(AddRequestSchema, { message: { case: 'data', value: value as Uint8Array<ArrayBuffer> } });
      }
    } catch (cause) {
      // A call that failed is thrown in here, too, where the next piece would have been taken.
      if (!isReadFailure(cause)) throw cause;
      reading.failure = new CliError(`cannot read ${file ?? 'standard input'}: ${cause.message}`, 'CANNOT_READ');
      throw reading.failure;
    }
  }
}

/** A failure of the file system or of a pipe, as Node.js tells it. */
function isReadFailure(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}
