import t from 'tap';
import { type AlertsMessage, type AlertsNeeds, alerts } from '../../../src/cluster/alerts.ts';
import { ALERT_CHANGES_PER_MESSAGE, ALERT_WATCHES_MAX } from '../../../src/cluster/constants.ts';
import type { Alert, MonitorChange } from '../../../src/monitor/monitor.ts';
import { prometheusMetrics } from '../../../src/runtime/prometheus.ts';
import { virtualTime } from '../../support/virtual-time.ts';

/** A monitor and a consensus whose alerts the test sets. */
async function board() {
  const time = virtualTime();
  const metrics = prometheusMetrics({ processMetrics: false });
  const ofMonitor = new Map<string, Alert>();
  let ofConsensus: Alert[] = [];
  const listeners = new Set<(change: MonitorChange) => void>();
  const needs = {
    monitor: {
      alerts: () => [...ofMonitor.values()],
      onChange: (listener: (change: MonitorChange) => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    consensus: { status: () => ({ alerts: ofConsensus }) },
    timers: time.timers,
    metrics,
  };
  const made = alerts(needs as unknown as AlertsNeeds);
  await made.start?.();
  const tell = (alert: Alert, raised: boolean) => {
    for (const listener of listeners) listener({ kind: 'alert', alert, raised });
  };
  return {
    time,
    metrics,
    alerts: made,
    raise(kind: string, peerId: string, message = 'so') {
      const alert = { kind, peerId, message, sinceMs: time.clock.nowMs() };
      ofMonitor.set(`${kind} ${peerId}`, alert);
      tell(alert, true);
    },
    clear(kind: string, peerId: string) {
      const alert = ofMonitor.get(`${kind} ${peerId}`) as Alert;
      ofMonitor.delete(`${kind} ${peerId}`);
      tell(alert, false);
    },
    consensus(...kinds: string[]) {
      ofConsensus = kinds.map((kind) => ({ kind, peerId: 'x', message: 'so', sinceMs: 1 }));
    },
    follow() {
      const controller = new AbortController();
      const told: string[] = [];
      const state = {
        told,
        caughtUp: 0,
        messages: 0,
        error: undefined as unknown,
        stop: () => controller.abort(new Error('enough')),
      };
      const read = async (messages: AsyncIterable<AlertsMessage>) => {
        for await (const { changes, caughtUp } of messages) {
          state.messages++;
          if (caughtUp) state.caughtUp++;
          for (const { alert, raised } of changes)
            told.push(`${raised ? '+' : '-'} ${alert.kind} ${alert.peerId} ${alert.message}`);
        }
      };
      void read(made.watch({ signal: controller.signal })).catch((error) => {
        state.error = error;
      });
      return state;
    },
  };
}

t.test('what stands, then what is raised, changed and cleared, of monitor and consensus', async (t) => {
  const b = await board();
  b.raise('PEER_DOWN', 'a');
  b.consensus('FORK');
  const seen = b.follow();
  await b.time.advance(1);
  t.same(seen.told, ['+ PEER_DOWN a so', '+ FORK x so']);
  t.equal(seen.caughtUp, 1);
  b.raise('PEER_DOWN', 'a', 'still');
  await b.time.advance(1);
  b.clear('PEER_DOWN', 'a');
  await b.time.advance(1);
  b.consensus();
  await b.time.advance(1_100);
  t.same(seen.told.slice(2), ['+ PEER_DOWN a still', '- PEER_DOWN a still', '- FORK x so']);
  t.equal(seen.caughtUp, 1);
  seen.stop();
  await b.time.advance(1);
  t.match(seen.error, /enough/);
  await b.alerts.stop?.();
  t.equal(b.time.pending(), 0, 'no timer is left');
});

t.test('nothing stands: the watch says so at once', async (t) => {
  const b = await board();
  const seen = b.follow();
  await b.time.advance(1);
  t.same(seen, { ...seen, told: [], caughtUp: 1, messages: 1 });
  await b.time.advance(10_000);
  t.equal(seen.messages, 1);
  seen.stop();
});

t.test('many alerts come in several messages, and the last of them ends what stood', async (t) => {
  const b = await board();
  for (let i = 0; i < ALERT_CHANGES_PER_MESSAGE * 2 + 1; i++) b.raise('PEER_DOWN', `p${i}`);
  const seen = b.follow();
  await b.time.advance(1);
  t.equal(seen.told.length, ALERT_CHANGES_PER_MESSAGE * 2 + 1);
  t.equal(seen.messages, 3);
  t.equal(seen.caughtUp, 1);
  seen.stop();
});

t.test('counted by kind: what stands, and how often it was raised and cleared', async (t) => {
  const b = await board();
  b.raise('PEER_DOWN', 'a');
  b.raise('PEER_DOWN', 'a', 'another message is no other alert');
  b.raise('PEER_DOWN', 'b');
  b.consensus('FORK');
  await b.time.advance(1_100);
  b.clear('PEER_DOWN', 'a');
  const text = await b.metrics.expose();
  t.match(text, 'pinfold_alerts{kind="PEER_DOWN"} 1\n');
  t.match(text, 'pinfold_alerts{kind="FORK"} 1\n');
  t.match(text, 'pinfold_alerts_raised_total{kind="PEER_DOWN"} 2\n');
  t.match(text, 'pinfold_alerts_raised_total{kind="FORK"} 1\n');
  t.match(text, 'pinfold_alerts_cleared_total{kind="PEER_DOWN"} 1\n');
  b.clear('PEER_DOWN', 'b');
  t.match(await b.metrics.expose(), 'pinfold_alerts{kind="PEER_DOWN"} 0\n', 'what stands no more is none');
});

t.test('watches have an end', async (t) => {
  const b = await board();
  const watches = Array.from({ length: ALERT_WATCHES_MAX }, () => b.follow());
  await b.time.advance(1);
  const one = b.follow();
  await b.time.advance(1);
  t.match(one.error, { code: 'LIMIT_REACHED' });
  for (const watch of watches) watch.stop();
  await b.time.advance(1);
  const next = b.follow();
  await b.time.advance(1);
  t.equal(next.caughtUp, 1);
  next.stop();
});
