import { PinfoldError } from '../../model/errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import { mark } from '../../runtime/mark.ts';
import type { Alerts } from './alerts.ts';
import type { PeerViews } from './peer-views.ts';

/** Why no writes are taken while this peer's clock is too far from the others' (C4); keeps the alert in step. */
export function skewed(
  views: PeerViews,
  alerts: Alerts,
  { clock, network: { peerId } }: { clock: Clock; network: { peerId: string } },
  maxMs: number,
): PinfoldError | undefined {
  const skewMs = views.skewMs(clock.monotonicMs());
  if (skewMs === undefined || Math.abs(skewMs) <= maxMs) {
    alerts.clear('CLOCK_SKEW', peerId);
    return undefined;
  }
  mark('crdt commit: refused for a wrong clock');
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const message = `its clock is ${seconds} s ${skewMs > 0 ? 'behind' : 'ahead of'} the median of the others`;
  alerts.raise('CLOCK_SKEW', peerId, message);
  return new PinfoldError('CLOCK_SKEW', `this peer takes no writes: ${message}`);
}
