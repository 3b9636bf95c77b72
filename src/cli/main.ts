import { CommanderError } from 'commander';
import { isPinfoldError } from '../model/errors.ts';
import { CliError } from './cli-error.ts';
import { explainCallFailure } from './client.ts';
import { output } from './output.ts';
import { program } from './program.ts';

/** Exit codes: 0 done, 1 failed, 2 wrong usage. */
async function main(args: readonly string[]): Promise<number> {
  const root = program();
  try {
    await root.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has said what was wrong; help and version come this way, too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const failure = failureOf(error, root.opts().host);
    output({ format: root.opts().output === 'json' ? 'json' : 'text', quiet: false }).failure(failure);
    return failure.exitCode;
  }
}

function failureOf(error: unknown, host: string | undefined): CliError {
  if (error instanceof CliError) return error;
  if (isPinfoldError(error)) return new CliError(error.message, error.code);
  const called = explainCallFailure(error, host ?? process.env.PINFOLD_HOST ?? 'the address in the configuration');
  if (called !== undefined) return called;
  const { stack } = error as Error;
  return new CliError(`an unexpected error, please report it: ${stack ?? String(error)}`, 'INTERNAL');
}

// A reader that goes away early (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
process.exitCode = await main(process.argv.slice(2));
