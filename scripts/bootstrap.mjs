#!/usr/bin/env node
// Plain JavaScript for any Node.js from 18 on: installs what the lockfile asks for when it is not there, then goes on
// with the rest of the command line on the Node.js that the project brings (`node_modules/.bin/node`), because an older
// one cannot start a TypeScript file.
//
//   node scripts/bootstrap.mjs FILE [ARGUMENT...]
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const nodeBinary = join(modules, '.bin', 'node');
const marker = join(modules, '.pinfold-lock-hash');

const lockfile = readFileSync(join(root, 'package-lock.json'));
const lockHash = createHash('sha256').update(lockfile).digest('hex');

if (!isInstalled()) install();
goOn(process.argv.slice(2));

function isInstalled() {
  if (!existsSync(nodeBinary)) return false;
  if (existsSync(marker) && readFileSync(marker, 'utf8') === lockHash) return true;
  if (!npmInstalledTheSame()) return false;
  writeFileSync(marker, lockHash);
  return true;
}

/** After an `npm install` by hand, npm's own record says the same as the lockfile, and nothing needs to be done. */
function npmInstalledTheSame() {
  const record = join(modules, '.package-lock.json');
  if (!existsSync(record)) return false;
  const present = JSON.parse(readFileSync(record, 'utf8')).packages;
  const wanted = Object.entries(JSON.parse(lockfile.toString('utf8')).packages);
  return wanted.every(
    ([path, entry]) =>
      path === '' || entry.optional || entry.devOptional || entry.peer || present[path]?.integrity === entry.integrity,
  );
}

function install() {
  console.error('pinfold: installing dependencies (npm ci) ...');
  const beganAt = Date.now();
  // Of the packages here some complain about an older Node.js; they run on the one that comes with them.
  const flags = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const { npm_execpath: npmScript, npm_node_execpath: npmNode } = process.env;
  const viaNpm = npmScript !== undefined && npmNode !== undefined && existsSync(npmScript) && existsSync(npmNode);
  const [command, args] = viaNpm ? [npmNode, [npmScript, ...flags]] : ['npm', flags];
  // The tree that is about to be removed must not lend its `node` to the installation. npm's report goes to
  // standard error, so that standard output belongs to the command.
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.startsWith(modules));
  const env = { ...process.env, PATH: path.join(delimiter) };
  const result = spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 2, 2] });
  if (result.error) fail(`cannot run npm: ${result.error.message}`);
  if (result.status !== 0) fail(`npm ci failed (${result.signal ?? `exit code ${result.status}`}); see above`);
  if (!existsSync(nodeBinary))
    fail('npm ci brought no node_modules/.bin/node: are install scripts turned off for npm?');
  writeFileSync(marker, lockHash);
  console.error(`pinfold: installed in ${Math.round((Date.now() - beganAt) / 1000)} s`);
}

function goOn(args) {
  if (args.length === 0) return;
  const env = { ...process.env, PATH: `${join(modules, '.bin')}${delimiter}${process.env.PATH ?? ''}` };
  const child = spawn(nodeBinary, args, { stdio: 'inherit', env });
  // On a terminal Ctrl-C reaches the child by itself; told twice, it would stop without finishing.
  const isTerminal = process.stdin.isTTY === true;
  process.on('SIGINT', () => isTerminal || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`cannot start ${nodeBinary}: ${error.message}`));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}

function fail(message) {
  console.error(`pinfold: ${message}`);
  process.exit(1);
}
