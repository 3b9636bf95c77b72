import { Violation } from './violation.ts';

const names = ['setTimeout', 'setInterval', 'setImmediate'] as const;
const turn = setImmediate;

/** Lets promises run until nothing more happens by itself. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    turn(resolve);
  });
}

/**
 * While it holds, real time and real randomness are closed to everything in src/: they throw. What remains open at the end
 * (files, sockets, threads) is found by `leaked`.
 */
export function closeOutsideWorld(): { leaked(): string[]; open(): void } {
  const before = count(process.getActiveResourcesInfo());
  const originals = new Map<object, [string, unknown][]>();
  const replace = (owner: object, name: string) => {
    const original = Reflect.get(owner, name) as (...args: unknown[]) => unknown;
    originals.set(owner, [...(originals.get(owner) ?? []), [name, original]]);
    Reflect.set(owner, name, function guarded(this: unknown, ...args: unknown[]) {
      refuse(name);
      return Reflect.apply(original, this, args);
    });
  };
  for (const name of names) replace(globalThis, name);
  replace(Date, 'now');
  replace(Math, 'random');
  replace(performance, 'now');
  return {
    leaked() {
      const after = count(process.getActiveResourcesInfo());
      return [...after]
        .filter(([name, n]) => name !== 'Immediate' && n > (before.get(name) ?? 0))
        .map(([name]) => name);
    },
    open() {
      for (const [owner, list] of originals) for (const [name, original] of list) Reflect.set(owner, name, original);
    },
  };
}

/** Only for whom it is meant: test runners and Node.js itself go on using real time. */
function refuse(name: string): void {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 10;
  const { stack = '' } = new Error('who asks');
  Error.stackTraceLimit = stackTraceLimit;
  const caller = stack.split('\n')[3] ?? '';
  if (caller.includes('/src/')) throw new Violation('WORLD', `${name} was called by ${caller.trim()}`);
}

function count(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
