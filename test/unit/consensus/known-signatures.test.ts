import t from 'tap';
import { decodeSignedBatch, openBatch } from '../../../src/consensus/crdt/codec/signed-batch.ts';
import { SIGNATURES_KNOWN_MAX } from '../../../src/consensus/crdt/constants.ts';
import { KnownSignatures } from '../../../src/consensus/crdt/known-signatures.ts';
import { parsePeerId } from '../../../src/model/peer-id.ts';
import { CraftedAuthor } from '../../support/crafted-author.ts';

const opened = (message: Uint8Array) => openBatch(decodeSignedBatch(message));

/** The batch with one bit of that part flipped. */
function damaged(message: Uint8Array, part: 'signature' | 'ops') {
  const parts = decodeSignedBatch(Uint8Array.from(message));
  const bytes = Uint8Array.from(parts[part]);
  bytes[5] = (bytes[5] as number) ^ 1;
  return openBatch({ ...parts, [part]: bytes });
}

t.test('a batch that is known right is still refused with other operations or another signature', async (t) => {
  const signatures = new KnownSignatures();
  const message = new CraftedAuthor('x').batch([{ name: 'one' }]);
  t.throws(() => signatures.verify(damaged(message, 'signature')), { message: /not signed/ });
  signatures.verify(opened(message));
  signatures.verify(opened(message));
  t.throws(() => signatures.verify(damaged(message, 'signature')), { message: /not signed/ });
  t.throws(() => signatures.verify(damaged(message, 'ops')), { message: /not those that were signed/ });
  signatures.verify(opened(message));
});

t.test('a wrong batch is not remembered as a right one', async (t) => {
  const signatures = new KnownSignatures();
  const message = new CraftedAuthor('x').batch([{ name: 'one' }]);
  for (let i = 0; i < 2; i++) {
    t.throws(() => signatures.verify(damaged(message, 'signature')), { message: /not signed/ });
    t.throws(() => signatures.verify(damaged(message, 'ops')), { message: /not those that were signed/ });
  }
});

t.test('a signature is checked once, while it is among the last', async (t) => {
  const signatures = new KnownSignatures();
  const author = new CraftedAuthor('x');
  const first = opened(author.batch([{ name: 'first' }]));
  signatures.verify(first);
  // Checked again it would be found wrong.
  const unchecked = { ...first, head: { ...first.head, author: parsePeerId(new CraftedAuthor('y').peerId) } };
  signatures.verify(unchecked);
  for (let i = 0; i < SIGNATURES_KNOWN_MAX; i++) signatures.verify(opened(author.batch([{ name: `${i}` }])));
  t.throws(() => signatures.verify(unchecked), { message: /not signed/ }, 'the oldest has made room');
  signatures.verify(first);
});
