import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';

/** Runs a line of JavaScript the way `npm start` runs the show. */
function bootstrap(code: string, args: string[] = []) {
  return spawnSync(process.execPath, ['scripts/bootstrap.mjs', '-e', code, ...args], { encoding: 'utf8' });
}

t.test('goes on with the Node.js of the project, all arguments, and its folder of commands', async (t) => {
  const { stdout, status } = bootstrap(
    'console.log(JSON.stringify([process.execPath, process.argv.slice(1), process.env.PATH]))',
    ['--', '--once', 'a b'],
  );
  const [node, args, path] = JSON.parse(stdout) as [string, string[], string];
  t.match(node, /node_modules/);
  t.strictSame(args, ['--once', 'a b']);
  t.match(path.split(':')[0], /node_modules\/\.bin$/);
  t.equal(status, 0);
});

t.test('ends as the command ended', async (t) => {
  t.equal(bootstrap('process.exitCode = 3').status, 3);
  t.equal(bootstrap("process.kill(process.pid, 'SIGKILL')").status, 128 + 9);
});

t.test('passes a signal on and waits for the command to end', async (t) => {
  const code =
    "process.on('SIGTERM', () => { console.log('bye'); process.exit(5); }); console.log('up'); setInterval(() => {}, 1000);";
  const child = spawn(process.execPath, ['scripts/bootstrap.mjs', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
    if (output === 'up\n') child.kill('SIGTERM');
  });
  const [status] = await once(child, 'close');
  t.equal(status, 5);
  t.equal(output, 'up\nbye\n');
});
