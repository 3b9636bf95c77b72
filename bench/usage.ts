import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';

/** Linux counts the time of processes in hundredths of a second. */
const ticksPerSecond = 100;

/** Processor time that a process has used, all its threads, seconds. 0 where there is no /proc. */
export function cpuSecondsOf(pid: number | undefined): number {
  const stat = read(`/proc/${pid}/stat`);
  // The name before may have blanks; user and system time are the 12th and 13th field behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond;
}

/** Memory of a process, bytes: resident in all, and without the pages of files that are mapped (the store). */
export function memoryOf(pid: number | undefined): { resident: number; own: number } {
  const status = read(`/proc/${pid}/status`);
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return { resident: kib('VmRSS') * 1024, own: kib('RssAnon') * 1024 };
}

/** How busy the machine was, for people: the figures of a shared machine say less. */
export function loadNow(): string {
  return `load ${loadavg()[0]?.toFixed(1)}`;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
