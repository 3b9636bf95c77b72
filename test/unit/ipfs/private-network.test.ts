import t from 'tap';
import { privateNetwork } from '../../../src/ipfs/embedded/private-network/protector.ts';
import { XSalsa20 } from '../../../src/ipfs/embedded/private-network/xsalsa20.ts';
import { formatSwarmKey } from '../../../src/ipfs/swarm-key.ts';
import { hex } from '../../../src/model/bytes.ts';

t.test('the first test vector of NaCl', async (t) => {
  // https://cr.yp.to/highspeed/naclcrypto-20090310.pdf section 9: firstkey, nonce, and the first bytes of the stream.
  const key = Buffer.from('1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389', 'hex');
  const nonce = Buffer.from('69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37', 'hex');
  const stream = new XSalsa20(nonce, key).update(new Uint8Array(32));
  t.equal(hex(stream), 'eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880');
});

t.test('pieces of any length give the stream of the whole', async (t) => {
  const [nonce, key] = [new Uint8Array(24).fill(3), new Uint8Array(32).fill(5)];
  const whole = new XSalsa20(nonce, key).update(new Uint8Array(1_000));
  const pieces = new XSalsa20(nonce, key);
  const lengths = [1, 0, 62, 1, 64, 65, 127, 200, 480];
  const joined = Buffer.concat(lengths.map((length) => pieces.update(new Uint8Array(length))));
  t.equal(hex(joined), hex(whole));
});

t.test('decrypts what it has encrypted', async (t) => {
  const [nonce, key] = [new Uint8Array(24).fill(3), new Uint8Array(32).fill(5)];
  const plain = new TextEncoder().encode('kept by the cluster');
  const sealed = new XSalsa20(nonce, key).update(plain);
  t.not(hex(sealed), hex(plain));
  t.equal(hex(new XSalsa20(nonce, key).update(sealed)), hex(plain));
});

t.test('a swarm key is told as Kubo reads it', async (t) => {
  const key = Uint8Array.from({ length: 32 }, (_, at) => at);
  t.equal(
    formatSwarmKey(key),
    '/key/swarm/psk/1.0.0/\n/base16/\n000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n',
  );
  t.throws(() => formatSwarmKey(new Uint8Array(31)), RangeError);
  t.throws(() => privateNetwork(new Uint8Array(31)), RangeError);
});
