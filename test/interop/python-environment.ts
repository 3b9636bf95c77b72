import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'node_modules/.cache/pinfold-python');
const requirements = fileURLToPath(new URL('./python/requirements.txt', import.meta.url));

export interface PythonEnvironment {
  /** The interpreter with the packages of requirements.txt. */
  python: string;
  /** Where the stubs made from proto/ lie. */
  stubs: string;
}

/** Why there can be none on this machine; undefined when there can. */
export function missingPython(): string | undefined {
  const { error, status } = spawnSync('python3', ['-c', 'import venv, ensurepip'], { stdio: 'ignore' });
  return error !== undefined || status !== 0 ? 'python3 with venv is not on this machine' : undefined;
}

/** Installs the packages once (from PyPI, into node_modules/.cache), and makes the stubs anew. */
export function pythonEnvironment(): PythonEnvironment {
  const python = join(folder, 'venv/bin/python');
  const marker = join(folder, 'installed');
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  if (!existsSync(marker) || readFileSync(marker, 'utf8') !== wanted) {
    mkdirSync(folder, { recursive: true });
    run('python3', ['-m', 'venv', '--clear', join(folder, 'venv')]);
    run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements]);
    writeFileSync(marker, wanted);
  }
  return { python, stubs: makeStubs(python) };
}

function makeStubs(python: string): string {
  const stubs = join(folder, 'stubs');
  mkdirSync(stubs, { recursive: true });
  const google = join(root, 'node_modules/google-proto-files');
  // All of the public package: they import each other.
  const own = readdirSync(join(root, 'proto/pinfold/v1')).map((file) => `pinfold/v1/${file}`);
  const files = [...own, 'google/rpc/status.proto', 'google/rpc/error_details.proto'];
  const paths = ['-I', join(root, 'proto'), '-I', google];
  run(python, ['-m', 'grpc_tools.protoc', ...paths, `--python_out=${stubs}`, `--grpc_python_out=${stubs}`, ...files]);
  return stubs;
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? stderr}`);
}
