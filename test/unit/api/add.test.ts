import { create, type MessageInitShape } from '@bufbuild/protobuf';
import t from 'tap';
import { AddRequestSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { add } from '../../../src/api/services/add.ts';
import type { AddContent } from '../../../src/cluster/adding/add.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { anyone } from '../../support/api-peer.ts';

const request = (message: MessageInitShape<typeof AddRequestSchema>['message']) =>
  create(AddRequestSchema, message === undefined ? {} : { message });

t.test('what went wrong is told also to who sends nothing more, and does not end', async (t) => {
  async function* requests() {
    yield request({ case: 'start', value: {} });
    await new Promise(() => {});
  }
  // Asks for the first entry, and fails meanwhile.
  const content: AddContent = async function* (_start, added) {
    if (added.kind === 'files') added.entries[Symbol.asyncIterator]().next();
    await new Promise((resolve) => setImmediate(resolve));
    yield* [];
    throw new PinfoldError('DISK_FULL', 'no room');
  };
  const keepAlive = setTimeout(() => t.bailout('it hangs'), 10_000);
  await t.rejects(
    async () => {
      for await (const _ of add(content, requests(), anyone()));
    },
    { code: 'DISK_FULL' },
  );
  clearTimeout(keepAlive);
});

t.test('a caller that is gone, or out of time, before it sent anything', async (t) => {
  async function* requests() {
    await new Promise(() => {});
    yield request({ case: 'start', value: {} });
  }
  const content: AddContent = () => {
    throw new Error('there is no start');
  };
  const abort = new AbortController();
  setImmediate(() => abort.abort(new PinfoldError('DEADLINE', 'late')));
  const keepAlive = setTimeout(() => t.bailout('it hangs'), 10_000);
  await t.rejects(
    async () => {
      for await (const _ of add(content, requests(), anyone(abort.signal)));
    },
    { code: 'DEADLINE' },
  );
  clearTimeout(keepAlive);
});
