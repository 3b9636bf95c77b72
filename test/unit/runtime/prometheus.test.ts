import t from 'tap';
import { prometheusMetrics } from '../../../src/runtime/prometheus.ts';

t.test('counters, gauges and histograms come out in the text form', async (t) => {
  const metrics = prometheusMetrics({ processMetrics: false });
  const pins = metrics.counter({ name: 'pinfold_pins_total', help: 'pins', labels: ['kind'] });
  pins.add(2, { kind: 'a' });
  pins.add(1, { kind: 'b' });
  metrics.gauge({ name: 'pinfold_queue_length', help: 'waiting' }, (gauge) => gauge.set(7));
  const latency = metrics.histogram({ name: 'pinfold_latency_seconds', help: 'latency', buckets: [0.1, 1] });
  latency.observe(0.5);
  const text = await metrics.expose();
  t.match(text, /pinfold_pins_total\{kind="a"\} 2\n/);
  t.match(text, /pinfold_queue_length 7\n/);
  t.match(text, /pinfold_latency_seconds_bucket\{le="0.1"\} 0\n/);
  t.match(text, /pinfold_latency_seconds_bucket\{le="1"\} 1\n/);
});

t.test('two registers in one process do not meet; a name twice or without prefix is a defect', async (t) => {
  const a = prometheusMetrics({ processMetrics: false });
  const b = prometheusMetrics({ processMetrics: false });
  a.counter({ name: 'pinfold_x_total', help: 'x' }).add(1);
  b.counter({ name: 'pinfold_x_total', help: 'x' }).add(5);
  t.match(await a.expose(), /pinfold_x_total 1\n/);
  t.match(await b.expose(), /pinfold_x_total 5\n/);
  t.throws(() => a.counter({ name: 'pinfold_x_total', help: 'x' }));
  t.throws(() => a.counter({ name: 'x_total', help: 'x' }));
});

t.test('the process itself is measured too', async (t) => {
  const metrics = prometheusMetrics();
  t.match(await metrics.expose(), /process_resident_memory_bytes \d+/);
  t.match(metrics.contentType, /text\/plain/);
});
