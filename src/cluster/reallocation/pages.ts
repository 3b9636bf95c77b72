import type { Pinset, StoredPin } from '../../pinset/pinset.ts';
import { sleep, type Timers } from '../../runtime/clock.ts';
import { REALLOCATION_SCAN_PINS } from './constants.ts';

/** All pins in key order, a page at a time; others get their turn between two. `cursor`: behind the page; undefined: it was the last. */
export async function* pinPages(
  { pinset, timers }: { pinset: Pick<Pinset, 'list'>; timers: Timers },
  from: Uint8Array | undefined,
  signal: AbortSignal,
): AsyncGenerator<{ pins: StoredPin[]; cursor: Uint8Array | undefined }> {
  let cursor = from;
  do {
    const start = cursor === undefined ? {} : { cursor };
    const page = pinset.list({ filter: {}, order: 'key', limit: REALLOCATION_SCAN_PINS, ...start });
    cursor = page.cursor;
    yield page;
    await sleep(timers, 0, signal);
  } while (cursor !== undefined);
}
