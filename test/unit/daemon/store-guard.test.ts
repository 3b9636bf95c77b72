import { tmpdir } from 'node:os';
import t from 'tap';
import { requireFreeDisk, storeGuard } from '../../../src/daemon/store-guard.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { virtualTime } from '../../support/virtual-time.ts';

function guarded(flushed: () => Promise<void>) {
  const time = virtualTime();
  const needs = { folder: tmpdir(), peerId: 'a peer', monitor: () => undefined, timers: time.timers };
  return { time, guard: storeGuard({ ...needs, storage: { flushed }, logger: silentLogger }) };
}

t.test('a store that cannot be written any more is told within seconds', async (t) => {
  let failure: Error | undefined;
  const { time, guard } = guarded(async () => {
    if (failure !== undefined) throw failure;
  });
  let told: unknown;
  guard.failed.catch((error) => {
    told = error;
  });
  await guard.start?.();
  await time.advance(30_000);
  t.equal(told, undefined);
  t.equal(guard.isDiskLow(), false);
  failure = new PinfoldError('STORAGE_FAILED', 'the disk is gone');
  await time.advance(6_000);
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
