import { realpath, stat } from 'node:fs/promises';
import { PinfoldError } from '../model/errors.ts';
import { readBoundedText, replaceFile } from './files.ts';
import { configInvalid } from './problem.ts';

/** Larger configuration files are not read. */
const configBytesMax = 1024 * 1024;

/**
 * Sets one option in a configuration file and leaves all others as they are; the file is replaced whole, and on the disk when
 * this resolves. Errors: `CONFIG_INVALID`, and nothing has changed.
 */
export async function setOption(path: string, section: string, key: string, value: unknown): Promise<void> {
  try {
    const target = await realpath(path);
    const config = parsed(path, (await readBoundedText(target, configBytesMax)) ?? '');
    const { mode } = await stat(target);
    config[section] = { ...config[section], [key]: value };
    await replaceFile(target, `${JSON.stringify(config, null, 2)}\n`, mode & 0o777);
  } catch (error) {
    if (error instanceof PinfoldError) throw error;
    const problem = `cannot be written (${(error as NodeJS.ErrnoException).code ?? error}); nothing was changed`;
    throw configInvalid([{ at: path, problem }], error);
  }
}

function parsed(path: string, text: string): Record<string, Record<string, unknown>> {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw configInvalid([{ at: path, problem: 'is not valid JSON any more; nothing was changed' }], error);
  }
}
