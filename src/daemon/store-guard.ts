import { statfs } from 'node:fs/promises';
import { PinfoldError } from '../model/errors.ts';
import type { Monitor } from '../monitor/monitor.ts';
import { raceSignal } from '../runtime/abort.ts';
import { sleep, type Timers } from '../runtime/clock.ts';
import type { Component } from '../runtime/lifecycle.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Storage } from '../storage/storage.ts';

/**
 * Free disk below which the store is not written, bytes. LMDB does not survive a full disk well, and two flushes in
 * flight and what others send need room.
 */
export const freeDiskBytesMin = 256 * 1024 * 1024;
/** Writes are taken again above this, so that the peer does not go back and forth. */
const freeDiskBytesEnough = 2 * freeDiskBytesMin;
const lookIntervalMs = 5_000;

/** Throws DISK_FULL. */
export async function requireFreeDisk(folder: string): Promise<void> {
  const freeBytes = await freeDiskBytes(folder);
  if (freeBytes >= freeDiskBytesMin) return;
  const problem = `only ${Math.floor(freeBytes / 2 ** 20)} MiB are free on the disk of ${folder}`;
  throw new PinfoldError('DISK_FULL', `${problem}; make room and start again`);
}

/** Watches the disk and the store while the peer runs. */
export interface StoreGuard extends Component {
  /** Writes are refused until there is room again. */
  isDiskLow(): boolean;
  /** As last looked at. */
  freeDiskBytes(): number;
  /** Rejects when the store cannot be written any more: the peer must be stopped and started anew. Never resolves. */
  readonly failed: Promise<never>;
}

export interface StoreGuardNeeds {
  folder: string;
  peerId: string;
  storage: Pick<Storage, 'flushed'>;
  monitor: () => Pick<Monitor, 'raise' | 'clear'> | undefined;
  timers: Timers;
  logger: Logger;
}

export function storeGuard(needs: StoreGuardNeeds): StoreGuard {
  const stopping = new AbortController();
  const { promise: failed, reject: fail } = Promise.withResolvers<never>();
  // Whoever runs the peer awaits it; a peer that is stopped before need not.
  failed.catch(() => {});
  let isLow = false;
  let lastFreeBytes = Number.POSITIVE_INFINITY;
  let running: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    await needs.storage.flushed().catch(fail);
    const freeBytes = await freeDiskBytes(needs.folder);
    lastFreeBytes = freeBytes;
    const wasLow = isLow;
    isLow = freeBytes < (wasLow ? freeDiskBytesEnough : freeDiskBytesMin);
    if (isLow) {
      const message = `only ${Math.floor(freeBytes / 2 ** 20)} MiB of disk are free: no writes are taken`;
      needs.monitor()?.raise({ kind: 'DISK_LOW', peerId: needs.peerId, message });
      if (!wasLow) needs.logger.error('too little free disk: no writes are taken', { freeBytes });
    } else if (wasLow) {
      needs.monitor()?.clear('DISK_LOW', needs.peerId);
      needs.logger.info('enough free disk again', { freeBytes });
    }
  }

  async function run(): Promise<void> {
    for (;;) {
      await sleep(needs.timers, lookIntervalMs, stopping.signal);
      // A disk that hangs must not hang whoever stops the peer.
      await raceSignal(look(), stopping.signal).catch((error) =>
        needs.logger.warn('the disk of the store could not be looked at', { error }),
      );
    }
  }

  return {
    name: 'store guard',
    isDiskLow: () => isLow,
    freeDiskBytes: () => lastFreeBytes,
    failed,
    async start() {
      running = run().catch(() => {});
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      await running;
    },
  };
}

async function freeDiskBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
