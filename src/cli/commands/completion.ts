import { type Command, Option } from 'commander';
import { usageError } from '../cli-error.ts';
import type { Run } from '../run.ts';

export function completionCommand(program: Command, run: Run): void {
  program
    .command('completion <shell>')
    .description('print completion for bash, zsh or fish')
    .addHelpText(
      'after',
      '\nExamples:\n  source <(pinfold completion bash)\n  pinfold completion fish > ~/.config/fish/completions/pinfold.fish',
    )
    .action(run((context, shell: string) => context.out.line(completionFor(shell, program))));
}

/** What can follow each command, by its words: `""` for the command itself, `"pin"`, `"pin add"`... */
export function wordsByCommand(program: Command): Map<string, string[]> {
  const words = new Map<string, string[]>();
  const globals = longFlags(program);
  function visit(command: Command, path: string): void {
    const subcommands = command.commands.map((each) => each.name());
    const flags = command === program ? globals : [...longFlags(command), ...globals];
    words.set(path, [...subcommands, ...flags, '--help']);
    for (const each of command.commands) visit(each, path === '' ? each.name() : `${path} ${each.name()}`);
  }
  visit(program, '');
  return words;
}

function longFlags(command: Command): string[] {
  return command.options
    .filter((option) => option instanceof Option && option.long)
    .map((option) => String(option.long));
}

export function completionFor(shell: string, program: Command): string {
  const words = wordsByCommand(program);
  switch (shell) {
    case 'bash':
      return bash(words);
    case 'zsh':
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`;
    case 'fish':
      return fish(words);
    default:
      throw usageError(`there is completion for bash, zsh and fish, not for "${shell}"`);
  }
}

function bash(words: Map<string, string[]>): string {
  const cases = [...words].map(([path, each]) => `    "${path}") words="${each.join(' ')}" ;;`);
  return `_pinfold() {
  local path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] && continue
    case "|${[...words.keys()].filter((path) => path !== '').join('|')}|" in
      *"|\${path:+$path }$word|"*) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [[ -n $words && \${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o filenames -F _pinfold pinfold`;
}

function fish(words: Map<string, string[]>): string {
  const lines = ['complete -c pinfold -f'];
  for (const [path, each] of words) {
    const condition = path === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${path.split(' ').at(-1)}`;
    const names = each.filter((word) => !word.startsWith('-'));
    const flags = each.filter((word) => word.startsWith('--'));
    if (names.length > 0) lines.push(`complete -c pinfold -n '${condition}' -a '${names.join(' ')}'`);
    for (const flag of flags) lines.push(`complete -c pinfold -n '${condition}' -l ${flag.slice(2)}`);
  }
  return lines.join('\n');
}
