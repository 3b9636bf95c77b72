import t from 'tap';
import { TOKEN_ASKED_MAX, TOKEN_INTERVAL_MS } from '../../../src/cluster/constants.ts';
import { decodeResumeToken, type StatusPlace } from '../../../src/cluster/resume-token.ts';
import { TokenMint } from '../../../src/cluster/token-mint.ts';
import { parseCid } from '../../../src/model/cid.ts';
import { pinKey, pinKeyParts } from '../../../src/model/pin-key.ts';
import type { Feed } from '../../../src/pinset/pinset.ts';
import { virtualTime } from '../../support/virtual-time.ts';

const self = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5';
const other = '12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq';
const cid = parseCid('bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy');
const place = (revision: number): StatusPlace => ({
  incarnation: new Uint8Array(16).fill(1),
  revision,
  mark: Uint8Array.of(1),
});

async function minting() {
  const time = virtualTime();
  const feed = { revision: 7, flushedRevision: 7, mark: () => Uint8Array.of(9) } as unknown as Feed;
  const mint = new TokenMint(
    {
      peerId: self,
      pinset: { feed },
      consensus: { history: new Uint8Array(16).fill(2), flushedPosition: () => new Uint8Array(3) },
      timers: time.timers,
    },
    undefined,
  );
  const tokens: Uint8Array[] = [];
  const end = new AbortController();
  const running = mint.run((token) => tokens.push(token) > 0, end.signal).catch(() => {});
  const tick = () => time.advance(TOKEN_INTERVAL_MS);
  const stop = async () => {
    end.abort(new Error('enough'));
    await time.advance(0);
    await running;
  };
  return { mint, tokens, tick, stop };
}

t.test('a token names how far the word of each peer was told', async (t) => {
  const { mint, tokens, tick, stop } = await minting();
  mint.told({ pins: 7 });
  mint.told({ status: { peerId: other, place: place(4) } });
  await tick();
  t.equal(tokens.length, 0, 'it is held back until all that was read is on the disk');
  mint.told({ status: { peerId: other, place: place(5) } });
  await tick();
  const { revision, peers } = decodeResumeToken(tokens[0] as Uint8Array);
  t.equal(revision, 7);
  t.equal(peers.get(other)?.revision, 4, 'what was told since comes again');
  await stop();
});

t.test(
  'a peer that was lost while a token was held back is not in it: its reader has forgotten that word',
  async (t) => {
    const { mint, tokens, tick, stop } = await minting();
    mint.told({ pins: 7, status: { peerId: other, place: place(4) } });
    await tick();
    mint.told({ status: { peerId: other, place: undefined } });
    await tick();
    t.equal(decodeResumeToken(tokens[0] as Uint8Array).peers.has(other), false);
    await stop();
  },
);

t.test(
  'a token names the pins whose statuses are still asked for, or goes no further than they were told',
  async (t) => {
    const { mint, tokens, tick, stop } = await minting();
    const next = async () => {
      const before = tokens.length;
      await tick();
      await tick();
      if (tokens.length === before) return 'none';
      const { revision, asked } = decodeResumeToken(tokens.at(-1) as Uint8Array);
      return [revision, asked.map((key) => pinKeyParts(key).namespace)];
    };
    const key = (namespace: string) => pinKey(cid, namespace);
    const many = Array.from({ length: TOKEN_ASKED_MAX + 1 }, (_, i) => key(`k${i}`));
    mint.told({ pins: 7 });
    const asked = mint.asking({ keys: [key('a')], before: undefined });
    t.same(await next(), [7, ['a']]);
    const beyond = mint.asking({ keys: many, before: undefined });
    mint.told({ pins: 8 });
    t.equal(await next(), 'none');
    beyond();
    asked();
    t.same(await next(), [8, []]);
    const bulk = [mint.asking({ keys: many, before: 8 }), mint.asking({ keys: many, before: 9 })];
    mint.told({ pins: 10 });
    t.same(await next(), [8, []]);
    bulk[0]?.();
    t.same(await next(), [9, []]);
    bulk[1]?.();
    t.same(await next(), [10, []]);
    await stop();
  },
);
