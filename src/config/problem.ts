import { PinfoldError } from '../model/errors.ts';

/** Something wrong with the configuration: where (`tracker.pinTimeoutMs`, a variable, a flag, the file) and what. */
export interface Problem {
  readonly at: string;
  readonly problem: string;
}

/** One error for all problems, so that nobody has to find them one start at a time. */
export function configInvalid(problems: readonly Problem[], cause?: unknown): PinfoldError {
  const lines = problems.map(({ at, problem }) => `${at}: ${problem}`);
  const [only] = lines;
  const message =
    lines.length === 1 && only !== undefined ? only : `${lines.length} problems:\n  ${lines.join('\n  ')}`;
  return new PinfoldError('CONFIG_INVALID', `the configuration cannot be used: ${message}`, {
    fields: problems.map(({ at, problem }) => ({ field: at, problem })),
    ...(cause === undefined ? {} : { cause }),
  });
}
