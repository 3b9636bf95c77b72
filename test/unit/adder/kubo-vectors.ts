/**
 * What Kubo 0.42.0 makes of known content. Recorded with `ipfs add -Q --only-hash` and the flags at each list, on a fresh
 * repository (`ipfs init -e`); byte i of a file of `patternFile` is (i*31 + (i>>>8)*7 + (i>>>16)*13) & 255.
 */
export function patternFile(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 7 + (i >>> 16) * 13) & 255;
  return bytes;
}

/** `--cid-version=1 --raw-leaves`, `--cid-version=0`, `--cid-version=1 --raw-leaves=false`, by length. */
export const files: readonly [number, string, string, string][] = [
  [
    0,
    'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku',
    'QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH',
    'bafybeif7ztnhq65lumvvtr4ekcwd2ifwgm3awq4zfr3srh462rwyinlb4y',
  ],
  [
    1,
    'bafkreidogqfzz75tpkmjzjke425xqcrmpcib2p5tg44hnbirumdbpl5adu',
    'QmS9JArPwa55ePgDnyg6TzX24mYTS1b1vLqWNebyVotKxQ',
    'bafybeibyqyrkx66boqbutl5oktknecxgnl43cipcls3knonfmi727rdtnu',
  ],
  [
    262143,
    'bafkreig6kuzcq6bgpbpnwsmcvs7a34p5r4zotxsr6phgfc5b3v5yn4gpfi',
    'QmWcaZ3uGGEZttacQiBJ1HuWFfqVEYGMaD4Nj38VoYuR8g',
    'bafybeid26ilmrlwtfjqwydk6lbfrkg5imtjp3luowez6rgklrliga4upnu',
  ],
  [
    262144,
    'bafkreiczgstydfoazwtvftp4xsly5nbucgh3deeplmt4klmhxy6mold4yi',
    'QmR7mwzKpt7e4UKRMjGKnEExpjq4Ykf6LYwoMmyQ3P3HEf',
    'bafybeibji2zcdenqv36tdbtkgzpxovualg5g7wefocifoeymcsbuznx4ba',
  ],
  [
    262145,
    'bafybeihn3jdjr7ug74plqriwu5bxd4srbljuhif3fpoj4o3ym4lvzrps5u',
    'QmT2Vf8Pxn4TDcB3eBvfqK7YWhQhm21efgytY8QdXxLkws',
    'bafybeidybqljlzfit2xybq5trfxpdgfkwcal5o7ktu4uzfv5vnjrh4baly',
  ],
  [
    524288,
    'bafybeiclffqyzn75pyfmxrvsm63f4b2yz2zge33m5ir2c3ohqdhfmzjn6i',
    'QmcjFqdPNWjgfUN9JL4KKN84b4vQJ5HuJ6LN4EhTSyiQGG',
    'bafybeibjpjq4tfh7onjjjvea7bk4ndhogciuwbwkzullu5jq6ez724oxrq',
  ],
  [
    1000000,
    'bafybeihesy4gkwsnp6zqmdaauaqwbi5di3hdknpxl7h75xwni4u3pbqpbm',
    'QmdD9bTf6W9WtDs6CYa6pa6cqinqr1fTv7pieVHuRWCWXK',
    'bafybeigqkps4xkqjke3j7v7j4qhm3mmni4feyyoldxydgj4om5cwkisxme',
  ],
  [
    45613056,
    'bafybeiequwccgw42e2aysgpuhhdrl5vuizr2aazlzhlcm6mqj4mylgbfii',
    'QmanGGvBsKN1QXPiRAQxSk9JxMept7RfPZNxEmBZpqY1Yy',
    'bafybeifk7cb3m6u6l2qv6ylg2c4nbgzzdqvgggvmbl2nesqsrglaytwiya',
  ],
  [
    45613057,
    'bafybeie7ejyd2kdeqivydjroem3zyxp2zhbvjbyz4lojfyg6qmnvxo252a',
    'QmRKVJ1hvesMutcjEyAphKJsGNzBoedjsqtEDraoY6r5nr',
    'bafybeifezagr366nm2v5xxl7lzykbafhqlmapczlcfphahef4akm2mmnfu',
  ],
  [
    60000000,
    'bafybeifgdc3a7hlyrou5cgwnl5djnuvqxfwxpk7zosevm43ywhof445h7q',
    'QmYpPgfF4kHmMoNoFc2C6RMLmFnKoaQhhEbNWDDqJptueK',
    'bafybeigvtk2og2t47egan2uxxaz4r2mtdv3smqcbtjbefkq5zpm32eildu',
  ],
];

/** `--cid-version=1 --chunker=size-1000` of the pattern of 1,000,000 bytes. */
export const smallChunks = 'bafybeicf44y6572fm63g6pawdo3cfd7mczu4i3utd7yvz7q3k35e2sh5ri';

/** `--cid-version=1` of "hello world\n", plain and with `-w` (named "hello"). */
export const hello = {
  plain: 'bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4',
  wrapped: 'bafybeicxptj5cposoeaj5cwk3to7kivguoz6rdj56dr2aogzkeodzqfzfi',
};

/**
 * `-r --cid-version=1`, with `-w` besides, and `-r --cid-version=0`, of a directory "d" with a.txt ("hello world\n"), an empty
 * directory "empty", sub/b.bin (the pattern of 300,000 bytes) and sub/zero (empty).
 */
export const directory = {
  plain: 'bafybeibge7a26seo7mkrck6xglswv6sphvjpiqyklmpmtiq3sjq27hdirm',
  wrapped: 'bafybeidgmm6xh7ezfomil5i2jyf7zd2bathuxca7pabbvloxvzo67t7giq',
  version0: 'QmdMxSAcko7uHvdAmHKAXWkmN14SszoZ2pZLAD6WsB4uhG',
};

/**
 * `-r --cid-version=1` of a directory with so many files "file-with-a-longer-name-N.txt", N from 1, each with N and a newline:
 * 4,000 are below the sharding threshold, 6,000 above.
 */
export const wide: readonly [number, string][] = [
  [4000, 'bafybeihjfd7fujsl4voebfxybm2avg5b5knd6ay5psqcfp2uqpouqx44ce'],
  [6000, 'bafybeiasumranczhly3cud2evuq6imgjoj6arli45lzrwzckbljyo75e2y'],
];
