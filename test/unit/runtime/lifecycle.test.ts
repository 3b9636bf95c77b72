import t from 'tap';
import { type Component, Lifecycle } from '../../../src/runtime/lifecycle.ts';

function component(name: string, log: string[], fails: { start?: boolean; stop?: boolean } = {}): Component {
  return {
    name,
    async start() {
      log.push(`+${name}`);
      if (fails.start) throw new Error(`${name} cannot start`);
    },
    async stop() {
      log.push(`-${name}`);
      if (fails.stop) throw new Error(`${name} cannot stop`);
    },
  };
}

t.test('starts in order and stops in reverse', async (t) => {
  const log: string[] = [];
  const lifecycle = new Lifecycle([component('a', log), { name: 'bare' }, component('b', log)]);
  t.equal(lifecycle.state, 'stopped');
  await lifecycle.start();
  t.equal(lifecycle.state, 'running');
  await t.rejects(lifecycle.start(), { message: /already running/ });
  const stopping = lifecycle.stop();
  t.equal(lifecycle.state, 'stopping');
  t.equal(lifecycle.stop(), stopping);
  await stopping;
  t.equal(lifecycle.state, 'stopped');
  t.strictSame(log, ['+a', '+b', '-b', '-a']);
});

t.test('a start that fails stops what had been started, the failed one included', async (t) => {
  const log: string[] = [];
  const lifecycle = new Lifecycle([
    component('a', log, { stop: true }),
    component('b', log, { start: true }),
    component('c', log),
  ]);
  await t.rejects(lifecycle.start(), { message: 'b cannot start' }, 'the failure as it was');
  t.equal(lifecycle.state, 'failed');
  t.strictSame(log, ['+a', '+b', '-b', '-a']);
});

t.test('a stop goes on past failures and reports all of them', async (t) => {
  const log: string[] = [];
  const lifecycle = new Lifecycle([
    component('a', log, { stop: true }),
    component('b', log),
    component('c', log, { stop: true }),
  ]);
  await lifecycle.start();
  const failure = await lifecycle.stop().catch((error: AggregateError) => error);
  t.ok(failure instanceof AggregateError);
  t.strictSame(
    (failure as AggregateError).errors.map((error: Error) => (error.cause as Error).message),
    ['c cannot stop', 'a cannot stop'],
  );
  t.strictSame(log, ['+a', '+b', '+c', '-c', '-b', '-a']);
});
