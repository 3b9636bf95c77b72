import type { FaultName } from './faults.ts';

let fault: FaultName | undefined;

/** Plants a fault in the world outside the core, for the life of this thread: what was computed without it is kept. */
export function plant(name: FaultName): void {
  fault = name;
}

export function isPlanted(...names: readonly FaultName[]): boolean {
  return fault !== undefined && names.includes(fault);
}
