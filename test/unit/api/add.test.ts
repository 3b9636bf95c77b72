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

t.test('a small file in the message of its entry', async (t) => {
  const seen: string[] = [];
  const content: AddContent = async function* (_start, added) {
    yield* [];
    if (added.kind !== 'files') return;
    for await (const { path, content } of added.entries) {
      const pieces: Uint8Array[] = [];
      for await (const piece of content ?? []) pieces.push(piece);
      seen.push(`${path}: ${content === undefined ? 'none' : Buffer.concat(pieces)}`);
    }
  };
  const sent = async (...messages: MessageInitShape<typeof AddRequestSchema>['message'][]) => {
    async function* requests() {
      yield request({ case: 'start', value: {} });
      for (const message of messages) yield request(message);
    }
    for await (const _ of add(content, requests(), anyone()));
  };
  const text = (value: string) => new TextEncoder().encode(value);
  const whole = { case: 'entry' as const, value: { path: 'a', content: text('whole') } };
  await sent(
    whole,
    { case: 'entry', value: { path: 'b' } },
    { case: 'data', value: text('in ') },
    { case: 'data', value: text('pieces') },
    { case: 'entry', value: { path: 'c', content: text('') } },
    { case: 'entry', value: { path: 'd', directory: true } },
  );
  t.strictSame(seen, ['a: whole', 'b: in pieces', 'c: ', 'd: none']);
  const refused = { code: 'INVALID_ARGUMENT' };
  await t.rejects(sent(whole, { case: 'data', value: text('more') }), refused);
  await t.rejects(sent({ case: 'entry', value: { ...whole.value, directory: true } }), refused);
  await t.rejects(sent({ case: 'entry', value: { ...whole.value, content: new Uint8Array(2 ** 20 + 1) } }), refused);
});
