import { once } from 'node:events';
import type { ExportEntry } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { CliError } from '../cli-error.ts';

/** Waits while whoever reads it is slow. */
export async function writeOut(bytes: Uint8Array): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
}

/** Standard output takes the content of one file. */
export function requireFile({ directory, symlink }: ExportEntry): void {
  if (!directory && symlink === undefined) return;
  const what = directory ? 'a directory' : 'a symbolic link';
  throw new CliError(`it is ${what}, and -o - writes one file; leave out -o -, or add --car`, 'NOT_A_FILE');
}
