import type { BenchContext } from './main.ts';
export async function join(_: BenchContext): Promise<void> {}
