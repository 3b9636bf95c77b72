/** A failure to be told in one line. The exit code is 1, or 2 for wrong usage. */
export class CliError extends Error {
  readonly reason: string;
  readonly exitCode: 1 | 2;

  constructor(message: string, reason: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.name = 'CliError';
    this.reason = reason;
    this.exitCode = exitCode;
  }
}

export const usageError = (message: string): CliError => new CliError(message, 'USAGE', 2);
