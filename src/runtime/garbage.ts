import { setFlagsFromString } from 'node:v8';

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
