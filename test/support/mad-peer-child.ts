import { MadPeer } from './mad-peer.ts';

// A process of its own, so that its client is not flooded by itself: 'gossip' or 'call', secret (hex), address. It says when it is
// connected, raves from the first line of its input until that ends, then says what it sent.

const [way, secret = '', address = ''] = process.argv.slice(2);
const mad = await MadPeer.connect(`mad ${way}`, Buffer.from(secret, 'hex'), address);
process.stdout.write('connected\n');
process.stdin.once('data', () => {
  if (way === 'gossip') mad.gossip();
  else mad.call();
});
process.stdin.once('end', async () => {
  process.stdout.write(`${JSON.stringify(Object.fromEntries(mad.sent))}\n`);
  await mad.stop();
  process.exit();
});
