import type { Command } from 'commander';
import { type CliContext, cliContext, type GlobalFlags } from './context.ts';

/** Makes a commander action of a function that takes the context first. The last argument commander gives is the command itself. */
export type Run = <A extends unknown[]>(
  action: (context: CliContext, ...args: A) => Promise<void> | void,
) => (...args: [...A, Command]) => Promise<void>;

export const run: Run =
  <A extends unknown[]>(action: (context: CliContext, ...args: A) => Promise<void> | void) =>
  async (...args: [...A, Command]) => {
    const command = args.pop() as Command;
    const context = cliContext(command.optsWithGlobals<GlobalFlags>());
    await action(context, ...(args as unknown as A));
  };
