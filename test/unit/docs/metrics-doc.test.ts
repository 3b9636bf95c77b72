import { globSync, readFileSync } from 'node:fs';
import t from 'tap';
import { peerMetrics, processMetrics } from '../../../scripts/metrics.ts';

const metrics = peerMetrics();
const names = new Set([...metrics, ...processMetrics()].map(({ name }) => name));

t.test('the reference has every metric that the code names', async (t) => {
  const named = new Set<string>();
  for (const path of globSync('src/**/*.ts')) {
    for (const [, name] of readFileSync(path, 'utf8').matchAll(/'(pinfold_[a-z0-9_]+)'/g)) named.add(name as string);
  }
  t.ok(named.size > 70, 'they were found');
  t.same(
    [...named].filter((name) => !names.has(name)),
    [],
  );
  const reference = readFileSync('docs/metrics.md', 'utf8');
  t.same(
    [...names].filter((name) => !reference.includes(`| \`${name}\` |`)),
    [],
  );
});

t.test('names follow the conventions of Prometheus', async (t) => {
  for (const { name, type, help } of metrics) {
    t.equal(name.endsWith('_total'), type === 'counter', `${name}: _total is for what only grows`);
    t.notMatch(
      name,
      /_(ms|millis|milliseconds|us|minutes|hours|kb|kib|mb|mib|percent|ratio_percent)(_|$)/,
      'base units',
    );
    t.match(name, /^[a-z][a-z0-9_]*$/);
    t.ok(help.length > 5, `${name} has a meaning`);
  }
});

t.test('the dashboard can be imported anywhere, and shows nothing that is not exported', async (t) => {
  const dashboard = JSON.parse(readFileSync('deploy/grafana/pinfold.json', 'utf8')) as Dashboard;
  const { panels, templating } = dashboard;
  t.match(templating.list[0], { name: 'datasource', type: 'datasource', query: 'prometheus' });
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const histograms = new Set(metrics.filter(({ type }) => type === 'histogram').map(({ name }) => name));
  for (const { title, datasource, targets, gridPos } of panels) {
    t.same(datasource.uid, '$' + '{datasource}', title);
    t.ok(gridPos.x + gridPos.w <= 24, title);
    for (const { expr, datasource } of targets) {
      t.same(datasource.uid, '$' + '{datasource}', title);
      const used = [...expr.matchAll(/\b(?:pinfold|process|nodejs)_[a-z0-9_]+/g)].map(([name]) => name);
      t.ok(used.length > 0, `${title}: ${expr}`);
      for (const name of used) {
        const base = name.replace(/_(bucket|sum|count)$/, '');
        t.ok(names.has(name) || histograms.has(base), `${title}: ${name}`);
        if (histograms.has(base)) t.not(name, base, `${title}: a histogram is shown by its buckets`);
      }
      const count = (text: string) => expr.split(text).length;
      t.equal(count('('), count(')'), `${title}: brackets`);
      t.equal(count('{'), count('}'), `${title}: braces`);
    }
  }
});

interface Dashboard {
  templating: { list: object[] };
  panels: {
    id: number;
    title: string;
    datasource: { uid: string };
    gridPos: { x: number; w: number };
    targets: { expr: string; datasource: { uid: string } }[];
  }[];
}
