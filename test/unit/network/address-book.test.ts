import t from 'tap';
import { AddressBook, type AddressStore } from '../../../src/network/address-book.ts';
import {
  ADDRESS_BOOK_PEERS_MAX,
  ADDRESS_BOOK_SAVE_DELAY_MS,
  ADDRESS_LENGTH_MAX,
  ADDRESSES_PER_PEER_MAX,
} from '../../../src/network/constants.ts';
import type { Timers } from '../../../src/runtime/clock.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { warnings } from './libp2p-helpers.ts';

function setUp(loaded: [string, string[]][] = [], logger = silentLogger) {
  const saves: ReadonlyMap<string, readonly string[]>[] = [];
  const waiting: { delayMs: number; fn(): void }[] = [];
  const timers: Timers = {
    after(delayMs, fn) {
      waiting.push({ delayMs, fn });
      return { cancel: () => {} };
    },
  };
  const store: AddressStore = {
    load: async () => new Map(loaded),
    save: async (addresses) => {
      saves.push(addresses);
    },
  };
  return { book: new AddressBook({ store, timers, logger }), saves, waiting, store };
}

t.test('the newest addresses come first, without doubles, up to the limit', async (t) => {
  const { book } = setUp([['a', ['/old']]]);
  await book.load();
  book.add('a', ['/new', '/old', '/new']);
  t.strictSame(book.get('a'), ['/new', '/old']);
  book.add(
    'a',
    Array.from({ length: 40 }, (_, n) => `/${n}`),
  );
  t.equal(book.get('a').length, ADDRESSES_PER_PEER_MAX);
  t.equal(book.get('a')[0], '/0');
  t.strictSame(book.get('unknown'), []);
});

t.test('at its limit the book forgets who was learnt of longest ago; overlong addresses stay out', async (t) => {
  const { book } = setUp();
  for (let n = 0; n <= ADDRESS_BOOK_PEERS_MAX; n++) book.add(`peer ${n}`, ['/a']);
  t.equal([...book.peers()].length, ADDRESS_BOOK_PEERS_MAX);
  t.strictSame(book.get('peer 0'), []);
  book.add('long', [`/${'x'.repeat(ADDRESS_LENGTH_MAX)}`]);
  t.strictSame(book.get('long'), []);
});

t.test('changes are saved together after a while, what is known already not at all', async (t) => {
  const { book, saves, waiting } = setUp([['a', ['/1', '/2']]]);
  await book.load();
  book.add('a', ['/2']);
  t.equal(waiting.length, 0);
  book.add('a', ['/3']);
  book.add('b', ['/4']);
  t.strictSame(
    waiting.map(({ delayMs }) => delayMs),
    [ADDRESS_BOOK_SAVE_DELAY_MS],
  );
  waiting[0]?.fn();
  await book.flush();
  t.strictSame(saves, [
    new Map([
      ['a', ['/3', '/1', '/2']],
      ['b', ['/4']],
    ]),
  ]);
});

t.test('flush saves what is waiting; a place that cannot be written to is a warning', async (t) => {
  const { logger, lines } = warnings();
  const { book, saves, store } = setUp([], logger);
  book.add('a', ['/1']);
  await book.flush();
  t.equal(saves.length, 1);
  store.save = () => Promise.reject(new Error('no space'));
  book.add('a', ['/2']);
  await book.flush();
  t.match(lines, [/could not be saved/]);
});

t.test('what is removed is gone from the file, too, and comes again only when it is heard of again', async (t) => {
  const { book, saves } = setUp([
    ['a', ['/1']],
    ['b', ['/2']],
  ]);
  await book.load();
  book.remove('a');
  book.remove('nobody');
  t.strictSame(book.get('a'), []);
  t.strictSame([...book.peers()], ['b']);
  await book.flush();
  t.strictSame([...(saves.at(-1) ?? [])], [['b', ['/2']]]);
  book.add('a', ['/3']);
  t.strictSame(book.get('a'), ['/3']);
});
