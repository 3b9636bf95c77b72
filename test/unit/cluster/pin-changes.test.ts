import t from 'tap';
import { PinChanges } from '../../../src/cluster/pin-changes.ts';
import { parseCid } from '../../../src/model/cid.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import type { PinKey } from '../../../src/model/pin.ts';
import { pinKey } from '../../../src/model/pin-key.ts';
import type { Pinset, StoredPin } from '../../../src/pinset/pinset.ts';

const cid = parseCid('bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy');
const other = parseCid('bafkreifjnw3isa3hvc6ajgcbkan2dmflhc55zidcrbozj4atbml5cyw6ve');
const [mine, yours, another] = [pinKey(cid, 'mine'), pinKey(cid, 'yours'), pinKey(other, 'mine')];

/** One batch in which these keys changed, and what is there afterwards. */
function changesOf(keys: readonly PinKey[], present: readonly PinKey[]) {
  const isPresent = (key: PinKey) => present.some((one) => Buffer.compare(one, key) === 0);
  const pinset = {
    feed: { read: () => [{ revision: 2, everything: false, keys }] },
    get: (key: PinKey) => (isPresent(key) ? ({ key } as StoredPin) : undefined),
    claims: (of: Uint8Array) => present.filter((key) => Buffer.from(key).includes(Buffer.from(of))),
  } as unknown as Pinset;
  const batch = new PinChanges(pinset).read(1);
  if (batch === 'gone') throw new Error('it is there');
  return batch.changes.filter(({ mustAsk }) => mustAsk).map(({ key }) => key);
}

t.test('a claim of content that no node can hold yet need not be asked for', async (t) => {
  t.same(changesOf([mine, another], [mine, another]), []);
});

t.test('a claim beside another, or in its place, may be held by nodes already', async (t) => {
  t.same(changesOf([mine], [mine, yours]), [mine]);
  t.same(changesOf([mine, yours], [mine]), [mine], 'the other went in the same batch');
  t.same(changesOf([yours, mine, another], [mine, another]), [mine]);
});

t.test('a pin that could not be read is read again: it may have been put right', async (t) => {
  let isDamaged = true;
  const stored = {
    key: mine,
    get pin() {
      if (isDamaged) throw new PinfoldError('DATA_CORRUPT', 'damaged');
      return { name: 'right' };
    },
  };
  const pinset = {
    feed: { read: () => [{ revision: 2, everything: false, keys: [mine] }] },
    get: () => stored,
    claims: () => [stored],
  } as unknown as Pinset;
  const changes = new PinChanges(pinset);
  t.throws(() => changes.read(1), { code: 'DATA_CORRUPT' });
  isDamaged = false;
  t.match(changes.read(1), { to: 2, changes: [{ stored: { pin: { name: 'right' } } }] });
});
