import { spawnSync } from 'node:child_process';
import { create } from '@bufbuild/protobuf';
import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import t from 'tap';
import { PinMode, TrackerStatus } from '../../../gen/pinfold/v1/pin_pb.ts';
import { PinFilterSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { explainCallFailure } from '../../../src/cli/client.ts';
import { completionFor, wordsByCommand } from '../../../src/cli/commands/completion.ts';
import { cliContext } from '../../../src/cli/context.ts';
import { filterFrom, timeAgo } from '../../../src/cli/filter-flags.ts';
import { givenFlags } from '../../../src/cli/option-flags.ts';
import { formatBytes, formatTable } from '../../../src/cli/output.ts';
import { limitFrom, pairFrom, pinOptionsFrom } from '../../../src/cli/pin-flags.ts';
import { program } from '../../../src/cli/program.ts';
import { statusFromName, statusName } from '../../../src/cli/statuses.ts';
import { systemClock } from '../../../src/runtime/clock.ts';

const usage = { name: 'CliError', exitCode: 2, reason: 'USAGE' };
const flags = { namespace: '', mode: 'recursive' };

t.test('the flags of a pin', async (t) => {
  t.match(pinOptionsFrom(flags), { name: '', mode: PinMode.RECURSIVE, replicationMin: 0, replicationMax: 0 });
  t.match(pinOptionsFrom({ ...flags, replication: '3' }), { replicationMin: 3, replicationMax: 3 });
  t.match(pinOptionsFrom({ ...flags, replication: '3', replicationMin: '2' }), {
    replicationMin: 2,
    replicationMax: 3,
  });
  t.match(pinOptionsFrom({ ...flags, replication: '-1' }), { replicationMin: -1, replicationMax: -1 });
  t.match(pinOptionsFrom({ ...flags, mode: 'direct', meta: ['a=b=c', 'd='] }), {
    mode: PinMode.DIRECT,
    metadata: [
      { key: 'a', value: 'b=c' },
      { key: 'd', value: '' },
    ],
  });
  const { expires } = pinOptionsFrom({ ...flags, expiresIn: '30d' });
  const inMs = expires === undefined ? 0 : timestampMs(expires as never) - systemClock.nowMs();
  t.ok(Math.abs(inMs - 30 * 86_400_000) < 10_000);
  for (const wrong of [
    { mode: 'both' },
    { replication: '0' },
    { replication: '1.5' },
    { replication: 'x' },
    { replication: '5000' },
    { replicationMin: '-2' },
    { meta: ['=x'] },
    { meta: ['x'] },
    { expiresIn: '30' },
    { expiresIn: '0s' },
    { expiresIn: '-1d' },
    { expiresIn: '99999999d' },
  ]) {
    t.throws(() => pinOptionsFrom({ ...flags, ...wrong }), usage, JSON.stringify(wrong));
  }
  t.throws(() => pairFrom('x'), usage);
});

t.test('limits, statuses, times', async (t) => {
  t.equal(limitFrom(undefined), 0);
  t.equal(limitFrom('7'), 7);
  for (const wrong of ['0', '-1', 'x', '', '1.5', '99999999999']) t.throws(() => limitFrom(wrong), usage, wrong);
  t.equal(statusFromName('pin_error'), TrackerStatus.PIN_ERROR);
  t.equal(statusName(TrackerStatus.PINNED), 'pinned');
  t.throws(() => statusFromName('broken'), { ...usage, message: /pin_error/ });
  for (const timeout of ['0', '-1', 'x', 'Infinity', '1e9']) {
    t.throws(() => cliContext({ output: 'text', timeout }), usage, timeout);
  }
  t.throws(() => cliContext({ output: 'yaml' }), usage);
});

t.test('filters of pins, shared by listings', async (t) => {
  const filter = create(
    PinFilterSchema,
    filterFrom({ namespace: ['a', 'b'], namePrefix: 'x/', meta: ['k=v'], createdAfter: '2026-01-31T12:00:00Z' }),
  );
  t.match(filter, {
    namespaces: ['a', 'b'],
    name: { case: 'namePrefix', value: 'x/' },
    metadata: [{ key: 'k', value: 'v' }],
  });
  t.equal(timestampMs(filter.createdAfter as Timestamp), Date.UTC(2026, 0, 31, 12));
  const hourAgo = timestampMs(timeAgo('1h'));
  t.ok(Math.abs(systemClock.nowMs() - 3_600_000 - hourAgo) < 60_000);
  t.throws(() => filterFrom({ name: 'a', namePrefix: 'b' }), usage);
  for (const wrong of ['yesterday', '2026-13-45', ''])
    t.throws(() => filterFrom({ createdBefore: wrong }), usage, wrong);
});

t.test('options of the configuration are flags', async (t) => {
  t.strictSame(givenFlags({ clusterReplicationMin: '2', insecureNoSecret: true, other: 'x' }), {
    'cluster-replication-min': '2',
    'insecure-no-secret': true,
  });
});

t.test('sizes and tables for people', async (t) => {
  t.strictSame([0, 1023, 1536, 1024 ** 3 * 200].map(formatBytes), ['0 B', '1023 B', '1.5 KiB', '200 GiB']);
  const lines = formatTable(
    ['A', 'LONG'],
    [
      ['aaa', 'b'],
      ['c', 'd'],
    ],
  ).split('\n');
  t.equal(lines.length, 3);
});

t.test('what a failed call says', async (t) => {
  const unreachable = new ConnectError('connect ECONNREFUSED 127.0.0.1:9098', Code.Unavailable);
  t.match(explainCallFailure(unreachable, 'here:1'), { reason: 'UNREACHABLE', message: /here:1/, exitCode: 1 });
  t.match(explainCallFailure(new ConnectError('x', Code.DeadlineExceeded), 'h'), { reason: 'DEADLINE_EXCEEDED' });
  t.equal(explainCallFailure(new Error('x'), 'h'), undefined);
});

t.test('every command is there, and has words to complete', async (t) => {
  const words = wordsByCommand(program());
  for (const command of [
    'init',
    'daemon',
    'id',
    'pin add',
    'pin rm',
    'pin ls',
    'pin get',
    'pin explain',
    'pin replace',
    'ipfs gc',
    'ipfs resolve',
    'status',
    'recover',
    'add',
    'peers ls',
    'peers get',
    'health',
    'config show',
    'config check',
    'config schema',
    'version',
    'completion',
  ]) {
    t.ok(words.has(command), command);
  }
  t.ok(words.get('pin add')?.includes('--replication'));
  t.ok(words.get('pin add')?.includes('--output'));
});

t.test('completion for bash is bash, and completes', async (t) => {
  const script = completionFor('bash', program());
  t.equal(spawnSync('bash', ['-n'], { input: script }).status, 0);
  const complete = (...line: string[]) => {
    const words = line.map((word) => `'${word}'`).join(' ');
    const ask = `COMP_WORDS=(${words}); COMP_CWORD=${line.length - 1}; _pinfold; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return spawnSync('bash', [], { input: `${script}\n${ask}\n`, encoding: 'utf8', cwd: t.testdir() })
      .stdout.trim()
      .split('\n');
  };
  t.strictSame(complete('pinfold', 'pi'), ['pin']);
  t.strictSame(complete('pinfold', 'pin', 're'), ['replace']);
  t.strictSame(complete('pinfold', '--quiet', 'pin', 'add', '--repli'), [
    '--replication',
    '--replication-min',
    '--replication-max',
  ]);
  t.strictSame(complete('pinfold', 'explain', 'rec'), ['recover'], 'explain is no command of its own');
  t.throws(() => completionFor('cmd', program()), usage);
  t.match(completionFor('zsh', program()), /bashcompinit/);
  t.match(completionFor('fish', program()), /complete -c pinfold/);
});
