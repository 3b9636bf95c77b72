import { tmpdir } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { requireFreeDisk, storeGuard } from '../../../src/daemon/store-guard.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { virtualTime } from '../../support/virtual-time.ts';

function guarded(flushed: () => Promise<void>) {
  const time = virtualTime();
  const needs = { folder: tmpdir(), peerId: 'a peer', monitor: () => undefined, timers: time.timers };
  /** Looks once more. The disk is a real one, which answers when it does. */
  async function look(): Promise<void> {
    await time.advance(5_000);
    while (time.pending() === 0) await setImmediate();
  }
  return { time, look, guard: storeGuard({ ...needs, storage: { flushed }, logger: silentLogger }) };
}

t.test('a store that cannot be written any more is told within seconds', async (t) => {
  let failure: Error | undefined;
  const { look, guard } = guarded(async () => {
    if (failure !== undefined) throw failure;
  });
  let told: unknown;
  guard.failed.catch((error) => {
    told = error;
  });
  await guard.start?.();
  await look();
  await look();
  t.equal(told, undefined);
  t.equal(guard.isDiskLow(), false);
  failure = new PinfoldError('STORAGE_FAILED', 'the disk is gone');
  await look();
  t.equal(told, failure);
  await guard.stop?.();
});

t.test('it stops while the disk hangs', async (t) => {
  const { time, guard } = guarded(() => new Promise(() => {}));
  await guard.start?.();
  await time.advance(6_000);
  await guard.stop?.();
  t.equal(time.pending(), 0);
});

t.test('a folder that is not there is told as it is', async (t) => {
  await t.rejects(requireFreeDisk('/there/is/no/such/folder'), { code: 'ENOENT' });
});
