import assert from 'node:assert/strict';
import t from 'tap';
import { parseCid } from '../../../src/model/cid.ts';
import { checkPinKey, pinKey, pinKeyParts } from '../../../src/model/pin-key.ts';

const cids = [
  'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy',
  'QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n',
  // Identity, of three bytes; BLAKE2b-256, whose code takes three.
  'bafkqaa3bmjrq',
  'bafk2bzaceafzknwhxhh4nzo2wmk5yx7ebahnfv3bm4tmzhdzu5kfd7fmd5k2o',
].map((text) => parseCid(text));

t.test('a key made here is right, with any kind of CID and any namespace', async () => {
  for (const cid of cids) {
    for (const namespace of ['default', 'team-a', 'x']) {
      const key = pinKey(cid, namespace);
      checkPinKey(key);
      assert.deepEqual(pinKeyParts(key), { cid, namespace });
    }
  }
});

t.test('a key from outside is refused if one of its parts is wrong', async () => {
  const [cid] = cids as [Uint8Array];
  const bare = pinKey(cid, 'default');
  const refused = (key: Uint8Array, message: RegExp) =>
    assert.throws(() => checkPinKey(key), { name: 'PinfoldError', message });
  for (let i = 0; i < 8; i++) {
    const wrong = Uint8Array.from(bare);
    wrong[i] = (wrong[i] as number) ^ 1;
    refused(wrong, /hash/);
  }
  const namespaced = (text: string) => Buffer.concat([bare, Buffer.from(text)]);
  checkPinKey(namespaced('team-a'));
  // A second key of the pin that has none.
  refused(namespaced('default'), /namespace/);
  refused(namespaced('Team A'), /namespace/);
  refused(namespaced('team\n'), /namespace/);
  refused(bare.subarray(0, -1), /CID|hash/);
  refused(bare.subarray(0, 10), /short/);
  refused(Buffer.alloc(45, 1), /CID/);
  refused(Buffer.alloc(45), /CID/);
  const cut = Buffer.concat([bare.subarray(0, 20), Buffer.from([0])]);
  refused(cut, /CID/);
});
