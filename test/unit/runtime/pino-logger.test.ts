import t from 'tap';
import { PinfoldError } from '../../../src/model/errors.ts';
import { pinoLogger } from '../../../src/runtime/pino-logger.ts';

function capture(isTTY = false) {
  const lines: string[] = [];
  return { isTTY, lines, write: (line: string) => lines.push(line) };
}

const parse = (line: string | undefined) => JSON.parse(line ?? '') as Record<string, unknown>;

t.test('JSON lines carry level, time, component, message and data', async (t) => {
  const out = capture();
  pinoLogger({ level: 'info', format: 'auto' }, out).child('tracker').warn('pin failed', { attempts: 3, bytes: 5n });
  t.equal(out.lines.length, 1);
  t.match(parse(out.lines[0]), { level: 'warn', component: 'tracker', message: 'pin failed', attempts: 3, bytes: '5' });
  t.match(parse(out.lines[0]).time, /^\d{4}-\d\d-\d\dT/);
});

t.test('lines below the level are not written', async (t) => {
  const out = capture();
  const logger = pinoLogger({ level: 'warn', format: 'json' }, out);
  logger.info('a');
  logger.debug('b');
  logger.trace('c');
  logger.error('d');
  t.equal(out.lines.length, 1);
});

t.test('secrets and bytes are not written, at any depth', async (t) => {
  const out = capture();
  const logger = pinoLogger({ level: 'info', format: 'json' }, out);
  logger.info('x', { secret: 'hush', inner: [{ privateKey: 'hush', key: new TextEncoder().encode('hush') }] });
  t.notMatch(out.lines[0], /hush/);
  t.match(out.lines[0], /4 bytes/);
});

t.test('an expected failure is its code and message; a defect has its stack; causes are kept', async (t) => {
  const out = capture();
  const logger = pinoLogger({ level: 'info', format: 'json' }, out);
  logger.error('x', { error: new PinfoldError('DISK_FULL', 'no room', { cause: new RangeError('why') }) });
  const { error } = parse(out.lines[0]) as { error: Record<string, unknown> };
  t.match(error, { code: 'DISK_FULL', message: 'no room', cause: { name: 'RangeError', message: 'why' } });
  t.notOk('stack' in error);
  t.match((error.cause as { stack: string }).stack, /pino-logger\.test/);
});

t.test('what refers to itself ends', async (t) => {
  const out = capture();
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  pinoLogger({ level: 'info', format: 'json' }, out).info('x', { loop });
  t.equal(out.lines.length, 1);
});

t.test('on a terminal a line is for people, and text from elsewhere cannot break it', async (t) => {
  const out = capture(true);
  pinoLogger({ level: 'info', format: 'auto' }, out)
    .child('api')
    .info('listening', { on: '127.0.0.1:1', evil: 'a\n\u001b[2J' });
  t.match(out.lines[0], /^\d\d:\d\d:\d\d\.\d{3} info {2}api: listening on=127\.0\.0\.1:1 evil="a\\n\\u001b\[2J"\n$/);
});
