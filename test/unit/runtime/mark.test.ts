import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import t from 'tap';
import { mark } from '../../../src/runtime/mark.ts';

t.test('marks reach who listens, and nobody else', async (t) => {
  const heard: unknown[] = [];
  const listener = (name: unknown) => heard.push(name);
  mark('before');
  subscribe('pinfold:mark', listener);
  mark('while');
  unsubscribe('pinfold:mark', listener);
  mark('after');
  t.strictSame(heard, ['while']);
});
