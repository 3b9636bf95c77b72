import { open } from 'node:fs/promises';
import type { Command } from 'commander';
import { ContentFormat, type ExportResponse, ExportResponseSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { parseContentPath } from '../../model/content-path.ts';
import { CliError, usageError } from '../cli-error.ts';
import type { CliContext } from '../context.ts';
import { CarCheck } from '../get/car-check.ts';
import { requireFile, writeOut } from '../get/stdout.ts';
import { cannotWrite, openTarget, type Target } from '../get/target.ts';
import { TreeWriter } from '../get/tree-writer.ts';
import { countOf, formatBytes, type Output } from '../output.ts';
import { type BytesProgress, bytesProgressOf } from '../progress.ts';
import type { Run } from '../run.ts';

interface GetFlags {
  namespace: string;
  /** Not `output`: that is a global flag. */
  to?: string;
  car?: boolean;
}

export function getCommand(program: Command, run: Run): void {
  program
    .command('get <path>')
    .description('write pinned content to the disk: a CID, or a path that begins with one')
    .option('-n, --namespace <name>', 'whose pin', '')
    .option('-o, --to <path>', 'where to (- for standard output; default: the name, or the CID, in this folder)')
    .option('--car', 'as a CAR, with all blocks as they are')
    .addHelpText(
      'after',
      `
Nothing is overwritten, and nothing is left when it does not come to its end. The blocks come from the peers that have the pin, through
the daemon, which checks them.

Examples:
  pinfold get bafybei... -o photos
  pinfold get bafybei.../2024/cat.jpg               writes cat.jpg
  pinfold get bafybei.../backup.tar -o - | tar x
  pinfold get bafybei... --car -o photos.car`,
    )
    .action(run((context, path: string, flags: GetFlags) => get(context, path, flags)));
}

async function get(context: CliContext, path: string, flags: GetFlags): Promise<void> {
  const place = flags.to ?? defaultName(path, flags.car === true);
  if (place === '') throw usageError('-o takes a path, or - for standard output');
  if (place === '-' && context.out.json) throw usageError('-o - and --output json both write to standard output');
  const { pins } = await context.clients();
  const call = new AbortController();
  let isInterrupted = false;
  const stop = () => {
    isInterrupted = true;
    call.abort();
  };
  // A second one ends the process at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  const format = flags.car ? ContentFormat.CAR : ContentFormat.UNSPECIFIED;
  const responses = pins.export({ namespace: flags.namespace, path, format }, { signal: call.signal });
  try {
    if (place === '-') await toStandardOutput(responses, flags.car === true);
    else await toDisk(context.out, responses, place, flags.car === true);
  } catch (error) {
    if (!isInterrupted) throw error;
    throw new CliError(place === '-' ? 'interrupted' : 'interrupted; nothing was written', 'INTERRUPTED');
  } finally {
    // It was begun when it was made, and keeps the process, read or not.
    call.abort();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
  }
}

/** As the path ends. */
function defaultName(path: string, car: boolean): string {
  const parsed = parseContentPath(path);
  const start = path.replace(/^(ipfs:\/\/|\/ipfs\/)/, '').split('/')[0] as string;
  const name = parsed.segments.at(-1) ?? start;
  return car ? `${name}.car` : name;
}

async function toStandardOutput(responses: AsyncIterable<ExportResponse>, car: boolean): Promise<void> {
  const check = new CarCheck();
  for await (const { message } of responses) {
    if (message.case === 'entry') requireFile(message.value);
    if (message.case !== 'data') continue;
    if (car) check.push(message.value);
    await writeOut(message.value);
  }
  if (car) check.end();
}

async function toDisk(
  out: Output,
  responses: AsyncIterable<ExportResponse>,
  place: string,
  car: boolean,
): Promise<void> {
  const target = await openTarget(place);
  try {
    if (car) await saveCar(out, responses, target);
    else await saveFiles(out, responses, target);
  } finally {
    await target.clean();
  }
}

async function saveCar(out: Output, responses: AsyncIterable<ExportResponse>, target: Target): Promise<void> {
  const check = new CarCheck();
  const progress = bytesProgressOf(out, undefined);
  let bytes = 0;
  try {
    await using file = await open(target.growing, 'wx');
    for await (const { message } of responses) {
      if (message.case !== 'data') continue;
      check.push(message.value);
      await file.writeFile(message.value).catch((cause) => {
        throw cannotWrite(target.path, cause);
      });
      bytes += message.value.length;
      progress.reach(bytes);
    }
    check.end();
  } finally {
    progress.stop();
  }
  await target.settle();
  tellSaved(out, target, { blocks: check.blocks, bytes });
}

async function saveFiles(out: Output, responses: AsyncIterable<ExportResponse>, target: Target): Promise<void> {
  const writer = new TreeWriter(target.growing, process.umask());
  let progress: BytesProgress | undefined;
  try {
    for await (const response of responses) {
      const { message } = response;
      if (message.case === 'entry') {
        const { directory, size } = message.value;
        progress ??= bytesProgressOf(out, directory ? undefined : Number(size));
        await writer.entry(message.value);
        if (out.json) out.message(ExportResponseSchema, response);
      } else if (message.case === 'data') {
        await writer.data(message.value);
        progress?.reach(writer.bytes);
      }
    }
    await writer.end();
  } finally {
    progress?.stop();
    await writer.close();
  }
  await target.settle();
  await writer.finishRoot(target.path);
  tellSaved(out, target, { files: writer.files, bytes: writer.bytes });
}

function tellSaved(out: Output, { path }: Target, counts: { files?: number; blocks?: number; bytes: number }): void {
  const { files, blocks = 0, bytes } = counts;
  const what = files === undefined ? countOf(blocks, 'block') : countOf(files, 'file');
  if (out.json) out.object({ saved: { path, ...counts } });
  else out.line(`saved ${path}  ${what}, ${formatBytes(bytes)}`);
}
