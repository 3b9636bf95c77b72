import { type Command, Option } from 'commander';
import { peerOptions } from '../daemon/options.ts';

/** Every option of the configuration as a flag; those that people need often are shown in the help, all in `config schema`. */
export function optionFlags(command: Command, shown: readonly string[]): Command {
  for (const { flag, option } of peerOptions.entries) {
    const isSwitch = typeof option.default === 'boolean';
    const added = new Option(isSwitch ? `--${flag}` : `--${flag} <value>`, option.says);
    if (!shown.includes(flag)) added.hideHelp();
    command.addOption(added);
  }
  return command.addHelpText(
    'after',
    '\nEvery option of the configuration has a flag such as --tracker-pin-timeout-ms and a variable such as\nPINFOLD_TRACKER_PIN_TIMEOUT_MS; docs/configuration.md lists them.',
  );
}

/** What was given of those flags, as the configuration takes them. */
export function givenFlags(values: Readonly<Record<string, unknown>>): Record<string, string | true> {
  const given: Record<string, string | true> = {};
  for (const { flag } of peerOptions.entries) {
    const value = values[new Option(`--${flag}`).attributeName()];
    if (typeof value === 'string' || value === true) given[flag] = value;
  }
  return given;
}
