import { jittered } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import { RETRY_JITTER } from './constants.ts';
import type { TrackerOptions } from './options.ts';

/** How long to wait after so many failed attempts. */
export function retryDelayMs(
  attempts: number,
  { retryBaseMs, retryMaxMs }: Pick<TrackerOptions, 'retryBaseMs' | 'retryMaxMs'>,
  random: Random,
): number {
  const doubled = retryBaseMs * 2 ** Math.min(attempts - 1, 40);
  return Math.ceil(jittered(random, Math.min(doubled, retryMaxMs), RETRY_JITTER));
}
