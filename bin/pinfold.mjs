#!/usr/bin/env node
// Starts the `pinfold` command: the compiled one of the npm package, or, in a checkout, the sources. Plain JavaScript,
// for it also has to run on a Node.js that is too old for either.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const oldestMajor = 24;
const source = new URL('../src/cli/main.ts', import.meta.url);
const compiled = new URL('../dist/src/cli/main.js', import.meta.url);
const ownNode = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url));

const isCheckout = existsSync(source);
const isNewEnough = Number.parseInt(process.versions.node, 10) >= oldestMajor;

if (isNewEnough) await import((isCheckout ? source : compiled).href);
else if (isCheckout && existsSync(ownNode)) startAgainOn(ownNode);
else {
  const advice = isCheckout ? 'run `npm ci` here first: it brings one along' : 'install a newer one';
  console.error(`pinfold needs Node.js ${oldestMajor} or newer and this is ${process.version}: ${advice}`);
  process.exitCode = 1;
}

function startAgainOn(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  // On a terminal Ctrl-C reaches the child by itself; told twice, it would stop without finishing.
  const isTerminal = process.stdin.isTTY === true;
  process.on('SIGINT', () => isTerminal || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}
