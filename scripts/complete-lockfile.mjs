// Completes package-lock.json after an `npm install`, so that `npm ci` takes it with every npm from 10 on:
//
//  - Native packages of other platforms that the registry at hand lacks. npm leaves them out, and `npm ci` then refuses the
//    lockfile on every platform. They get version and platform, and no integrity, for nobody downloaded them.
//  - Optional peers that npm 10 asks for and npm 11 leaves out. npm 10 is asked for them (in a copy: it drops `libc`).
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const path = join(root, 'package-lock.json');
const lock = JSON.parse(readFileSync(path, 'utf8'));
const added = [...addNativePackages(), ...addOptionalPeers()];
if (added.length > 0) writeLock();
console.log(added.length === 0 ? 'package-lock.json is complete' : `added: ${added.join(', ')}`);

function addNativePackages() {
  const keys = [];
  for (const [parent, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (isLocked(parent, name)) continue;
      if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`${name}@${version}: add what is not exact by hand`);
      const key = `node_modules/${name}`;
      lock.packages[key] = { version, ...platformOf(name), ...(entry.dev ? { dev: true } : {}), optional: true };
      keys.push(key);
    }
  }
  return keys;
}

function isLocked(parent, name) {
  return [`${parent}/node_modules/${name}`, `node_modules/${name}`].some((key) => key in lock.packages);
}

function platformOf(name) {
  const words = name.split(/[-/]/);
  const os = words.find((word) => ['android', 'darwin', 'linux', 'win32', 'freebsd', 'openbsd'].includes(word));
  const cpu = words.find((word) =>
    ['arm64', 'x64', 'arm', 'armv7', 'ia32', 'ppc64', 's390x', 'riscv64'].includes(word),
  );
  if (os === undefined || cpu === undefined) throw new Error(`${name}: its name does not say its platform`);
  const libc = words.includes('musl') ? { libc: ['musl'] } : {};
  return { cpu: [cpu === 'armv7' ? 'arm' : cpu], ...libc, os: [os] };
}

function addOptionalPeers() {
  const copy = mkdtempSync(join(tmpdir(), 'pinfold-lock-'));
  try {
    copyFileSync(join(root, 'package.json'), join(copy, 'package.json'));
    writeFileSync(join(copy, 'package-lock.json'), JSON.stringify(lock));
    const npm10 = ['--yes', 'npm@10', 'install', '--package-lock-only', '--ignore-scripts', '--loglevel=error'];
    const { status } = spawnSync('npx', npm10, { cwd: copy, stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) throw new Error('npm@10 could not be asked what it wants in the lockfile');
    const { packages } = JSON.parse(readFileSync(join(copy, 'package-lock.json'), 'utf8'));
    const keys = Object.keys(packages).filter((key) => packages[key].optional && !(key in lock.packages));
    for (const key of keys) lock.packages[key] = packages[key];
    return keys;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function writeLock() {
  const [root, ...others] = Object.entries(lock.packages);
  others.sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries([root, ...others]);
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
}
