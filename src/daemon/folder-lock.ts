import { rename, unlink } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { PinfoldError } from '../model/errors.ts';

/**
 * One daemon a folder: a unix socket in it that answers. Unlike a lock file it cannot outlive its process: what is left
 * after SIGKILL is a name that nobody answers at, and is taken over.
 */
export interface FolderLock {
  release(): Promise<void>;
}

/** Throws FOLDER_IN_USE when a daemon answers at that path. */
export async function lockFolder(socketPath: string): Promise<FolderLock> {
  const server = createServer((connection) => connection.end());
  for (let attempt = 1; ; attempt++) {
    try {
      await listen(server, socketPath);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cannotLock(socketPath, error);
      if (attempt === 3) throw cannotLock(socketPath, error);
      await removeStale(socketPath);
    }
  }
  // The socket alone must not keep the process alive.
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** Two daemons may find the same stale socket: it is moved away first, so that neither removes the other's new one. */
async function removeStale(path: string): Promise<void> {
  if (await answers(path)) throw inUse(path);
  const aside = `${path}.${process.pid}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw cannotLock(path, error);
  }
  if (await answers(aside)) {
    await rename(aside, path);
    throw inUse(path);
  }
  await unlink(aside);
}

function inUse(path: string): PinfoldError {
  return new PinfoldError('FOLDER_IN_USE', `another daemon runs on this folder (it answers at ${path}); stop it first`);
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(path);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', () => resolve(false));
  });
}

function cannotLock(path: string, cause: unknown): PinfoldError {
  return new PinfoldError(
    'CONFIG_INVALID',
    `cannot make the socket ${path} that marks this folder as in use (${(cause as Error).message}); its path may be too long (107 characters at most) or the folder not writable`,
    { cause },
  );
}
