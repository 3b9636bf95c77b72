import type { Pinset, StoredPin } from '../../pinset/pinset.ts';
import { unlessCorrupt } from '../../pinset/rows.ts';
import { sleep, type Timers } from '../../runtime/clock.ts';
import { REALLOCATION_SCAN_PINS } from './constants.ts';

/**
 * All pins in key order, a page at a time, but those whose row is damaged; others get their turn between two. `cursor`: behind the page;
 * undefined: it was the last.
 */
export async function* pinPages(
  { pinset, timers }: { pinset: Pick<Pinset, 'keys' | 'get'>; timers: Timers },
  from: Uint8Array | undefined,
  signal: AbortSignal,
): AsyncGenerator<{ pins: StoredPin[]; cursor: Uint8Array | undefined }> {
  let cursor = from;
  do {
    const keys = pinset.keys(cursor, REALLOCATION_SCAN_PINS);
    const pins = keys.flatMap((key) => unlessCorrupt(() => pinset.get(key)) ?? []);
    cursor = keys.length < REALLOCATION_SCAN_PINS ? undefined : keys.at(-1);
    yield { pins, cursor };
    await sleep(timers, 0, signal);
  } while (cursor !== undefined);
}
