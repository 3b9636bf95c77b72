import t from 'tap';
import { listPins } from '../../../src/cluster/listing.ts';
import { pinKey } from '../../../src/model/pin-key.ts';
import { callContext, cidOf, type WorldPeer, world } from './world.ts';

t.test('a damaged row: all other pins are listed, then the listing fails', async (t) => {
  const w = await world(1);
  const [{ pinset, storage, write }] = w.peers as [WorldPeer];
  for (let i = 0; i < 300; i++) await write(cidOf(i), {});
  await storage.transaction((tx) => tx.put('pins_a', pinKey(cidOf(3), 'default'), Buffer.of(0xff, 1, 2))).flushed;
  const query = { filter: {}, order: 'key', pageSize: 0, cursor: undefined, pieceSize: 50 } as const;
  let pins = 0;
  let last: Uint8Array | undefined;
  const listing = async () => {
    for await (const piece of listPins({ pinset, timers: w.time.timers })(query, callContext())) {
      pins += piece.pins.length;
      last = piece.cursor;
    }
  };
  const listed = listing();
  listed.catch(() => {}); // Judged below.
  for (let i = 0; i < 10; i++) await w.time.advance(10);
  await t.rejects(listed, { code: 'DATA_CORRUPT', message: /the row of the pin .* is damaged/ });
  t.equal(pins, 299);
  t.equal(last, undefined, 'the last piece came before');
});
