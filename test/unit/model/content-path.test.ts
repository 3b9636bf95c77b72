import t from 'tap';
import { formatCid, parseCid } from '../../../src/model/cid.ts';
import { type ContentPath, formatPath, parseContentPath, pathLimits } from '../../../src/model/content-path.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { fc } from '../../support/fast-check.ts';

const cid = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi';
const v0 = 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG';

t.test('the forms of a path', async (t) => {
  const forms: [string, string[]][] = [
    [cid, []],
    [`${cid}/`, []],
    [`${cid}/a/b`, ['a', 'b']],
    [`/ipfs/${cid}`, []],
    [`/ipfs/${cid}/`, []],
    [`/ipfs/${cid}/a/b.txt/`, ['a', 'b.txt']],
    [`/ipfs/${cid}/a b/%41/ünï/...`, ['a b', '%41', 'ünï', '...']],
    [`/ipfs/${cid}/what?/#1`, ['what?', '#1']],
    [`ipfs://${cid}/a%20b/%C3%BC/%2541`, ['a b', 'ü', '%41']],
    [`/ipfs/${cid}/line\nbreak`, ['line\nbreak']],
  ];
  for (const [text, segments] of forms) {
    t.same(parseContentPath(text), { kind: 'ipfs', root: parseCid(cid), segments }, text);
  }
  t.same(parseContentPath(`/ipfs/${v0}/a`), { kind: 'ipfs', root: parseCid(v0), segments: ['a'] });
  const name = 'k51qzi5uqu5di4p661axxvfohwtfpxpc4mo51fl3ekbogobxky1yib4wum09f6';
  t.same(parseContentPath(`/ipns/${name}/a`), { kind: 'ipns', name, segments: ['a'] });
  t.same(parseContentPath('ipns://docs.example.org/a%20b/'), {
    kind: 'ipns',
    name: 'docs.example.org',
    segments: ['a b'],
  });
});

t.test('what is no path', async (t) => {
  const code = (text: string) => {
    try {
      parseContentPath(text);
      return 'OK';
    } catch (error) {
      if (!isPinfoldError(error)) throw error;
      t.same(error.details.fields?.[0]?.field, 'path', error.message);
      t.ok(error.message.length < 250, 'of what is huge the beginning is shown');
      return error.code;
    }
  };
  const wrong = [
    '',
    '/',
    '/ipfs',
    '/ipfs/',
    '/ipns/',
    'ipfs://',
    '//',
    `/ipfs/${cid}//a`,
    `/ipfs/${cid}/a//`,
    `/ipfs/${cid}/./a`,
    `/ipfs/${cid}/a/..`,
    `/ipfs/${cid}/../${v0}`,
    `/ipfs/${cid}/a\0b`,
    `ipfs://${cid}/a%00b`,
    `ipfs://${cid}/a%2Fb`,
    `ipfs://${cid}/%2e%2e/b`,
    `ipfs://${cid}/%`,
    `ipfs://${cid}/%ff`,
    `ipfs://${cid}/a?b=c`,
    `ipfs://${cid}/a#b`,
    '/ipns/a name',
    '/ipns/ümlaut.example',
    `/ipns/${'a'.repeat(254)}`,
    `/ipfs/${cid}${'/a'.repeat(pathLimits.segmentsMax + 1)}`,
    `/ipfs/${cid}/${'a'.repeat(pathLimits.bytesMax)}`,
    `/ipfs/${cid}/${'ü'.repeat(pathLimits.bytesMax / 2)}`,
    '/'.repeat(1_000_000),
  ];
  for (const text of wrong) t.equal(code(text), 'INVALID_PATH', text.slice(0, 100));
  for (const text of ['nonsense', '/ipfs/nonsense/a', '/IPFS/x/a', `/ipld/${cid}`, `http://x/ipfs/${cid}`]) {
    t.match(code(text), /INVALID_(CID|PATH)/, text);
  }
  t.equal(code(`/ipfs/${cid}${'/a'.repeat(pathLimits.segmentsMax)}`), 'OK');
});

t.test('whatever the text, it is a path or refused as one; and a path is read as it was written', async (t) => {
  const segment = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 8 }), (segments) => {
      const isFine = segments.every((each) => !/[/\0]/.test(each) && each !== '.' && each !== '..');
      fc.pre(isFine);
      const text = formatPath(parseCid(cid), segments);
      const path = parseContentPath(text) as ContentPath & { kind: 'ipfs' };
      return formatCid(path.root) === cid && JSON.stringify(path.segments) === JSON.stringify(segments);
    }),
  );
  const odd = fc.array(
    fc.constantFrom('/', 'ipfs', 'ipns', '://', cid, '..', '.', '%', '%2F', '\0', '?', 'a', '\ud800'),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        odd.map((parts) => parts.join('')),
      ),
      (text) => {
        try {
          parseContentPath(text);
          return true;
        } catch (error) {
          return isPinfoldError(error, 'INVALID_PATH') || isPinfoldError(error, 'INVALID_CID');
        }
      },
    ),
    { numRuns: 2_000 },
  );
  t.pass('held');
});
