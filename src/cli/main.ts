import { CommanderError } from 'commander';
import { isPinfoldError } from '../model/errors.ts';
import { tuneGarbageCollection } from '../runtime/garbage.ts';
import { CliError, usageError } from './cli-error.ts';
import { explainCallFailure } from './client.ts';
import { output } from './output.ts';
import { program } from './program.ts';

/** Exit codes: 0 done, 1 failed, 2 wrong usage. */
async function main(args: readonly string[]): Promise<number> {
  const json = wantsJson(args);
  // Commander says by itself what was wrong, in words for people.
  const root = program({ silent: json });
  try {
    await root.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    const out = output({ format: json ? 'json' : 'text', quiet: false });
    // Help comes this way, too.
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      if (json) out.failure(usageError(error.message.replace(/^error: /, '')));
      return 2;
    }
    const failure = failureOf(error, root.opts().host);
    out.failure(failure);
    return failure.exitCode;
  }
}

/** Before anything is parsed, for what cannot be parsed is to be said that way, too. */
function wantsJson(args: readonly string[]): boolean {
  return args.some((arg, i) => arg === '--output=json' || (arg === '--output' && args[i + 1] === 'json'));
}

function failureOf(error: unknown, host: string | undefined): CliError {
  if (error instanceof CliError) return error;
  if (isPinfoldError(error)) return new CliError(error.message, error.code);
  const called = explainCallFailure(error, host ?? process.env.PINFOLD_HOST ?? 'the address in the configuration');
  if (called !== undefined) return called;
  const { stack } = error as Error;
  return new CliError(`an unexpected error, please report it: ${stack ?? String(error)}`, 'INTERNAL');
}

tuneGarbageCollection();
// A reader that goes away early (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
process.exitCode = await main(process.argv.slice(2));
