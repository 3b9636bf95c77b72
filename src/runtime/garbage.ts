import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * To be called when the process begins.
 *
 * V8 remembers places in the code of which the objects lived long once (many do while a peer joins, or writes in bulk) and makes later ones
 * of these places old from the start. Dead ones then keep all alive that they lead to until the next full collection: a young collection
 * that takes 1 ms without this takes 12 ms in a peer that lists statuses, and everybody waits for it.
 *
 * A full collection keeps all processors busy for 100 ms, and V8 begins one when the heap has grown by a tenth, which in a peer of 50 MB
 * that is asked without a pause is every other second. When it has doubled is often enough.
 *
 * Bytes that lie outside of the heap, those of content above all, had a limit of their own, 64 MiB since the last full collection: a peer that
 * takes content in spent a quarter of its processor time on that. Now they count as the heap does.
 */
export function tuneGarbageCollection(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
  setFlagsFromString('--heap-growing-percent=100');
  setFlagsFromString('--external-memory-accounted-in-global-limit');
}

/** Content that may pass before young objects are collected, bytes: several times what is on its way at once. */
const passedBytesMax = 16 * 1024 * 1024;

let collectYoung: ((options: { type: 'minor' }) => void) | undefined;
let passedBytes = 0;

/**
 * To be told of content that has been taken in. It lies outside of the heap in pieces that die young, but V8 knows only of the few objects that
 * hold them, and lets them lie until it begins a full collection. A young one takes a millisecond.
 */
export function contentPassed(bytes: number): void {
  passedBytes += bytes;
  if (passedBytes < passedBytesMax) return;
  passedBytes = 0;
  if (collectYoung === undefined) {
    setFlagsFromString('--expose-gc');
    collectYoung = runInNewContext('gc') as (options: { type: 'minor' }) => void;
  }
  collectYoung({ type: 'minor' });
}
