// Completes package-lock.json after an `npm install` whose registry lacked native packages of other platforms: npm
// then leaves them out, and `npm ci` refuses a lockfile without them, on every platform. The entries written here
// name version and platform, as the parent's package.json does; they carry no integrity, for nobody downloaded them.
import { readFileSync, writeFileSync } from 'node:fs';

const path = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(path, 'utf8'));
const added = [];

for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isLocked(parent, name)) continue;
    if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`${name}@${version}: complete only exact versions by hand`);
    const key = `node_modules/${name}`;
    lock.packages[key] = { version, ...platformOf(name), ...(entry.dev ? { dev: true } : {}), optional: true };
    added.push(key);
  }
}

if (added.length > 0) {
  const [root, ...others] = Object.entries(lock.packages);
  others.sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries([root, ...others]);
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
}
console.log(added.length === 0 ? 'package-lock.json is complete' : `added: ${added.join(', ')}`);

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
