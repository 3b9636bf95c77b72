import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import t from 'tap';
import { AddResponseSchema } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { type LocalPeer, until } from '../../scripts/local-cluster.ts';
import { daemons, held } from '../support/daemons.ts';
import {
  addsUnderWay,
  answerInProto,
  contentBytesOf,
  data,
  entry,
  envelope,
  envelopesOf,
  HttpAdd,
  inJson,
  inProto,
  start,
} from '../support/http-add.ts';
import { seededBytes } from '../support/seeded-bytes.ts';

const here = await daemons();
const [one] = (await here.cluster(1)) as [LocalPeer];
const mebibyte = 1024 * 1024;
const path = '/pinfold.v1.PinService/Add';

/** Of `ipfs add`. */
const helloCid = 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o';
const hello = [start, entry('hello.txt'), data(Buffer.from('hello world\n'))];

const rootOf = (answer: Buffer) => answerInProto(answer).messages.findLast((each) => each.case === 'root')?.value;

t.test('Connect, JSON', async (t) => {
  const adding = new HttpAdd(one, 'application/connect+json');
  await adding.send(...hello.map(inJson));
  const answer = [...envelopesOf(await adding.end())];
  t.equal((await adding.head).statusCode, 200);
  const messages = answer.map(({ bytes }) => JSON.parse(String(bytes)));
  t.match(messages[0], { node: { path: 'hello.txt', cid: helloCid } });
  t.match(messages.at(-2), { root: { pin: { cid: helloCid } } });
  t.strictSame(messages.at(-1), {}, 'its end says that all is well');
  t.strictSame(
    answer.map(({ flags }) => flags),
    [...answer.slice(1).map(() => 0), 2],
  );
});

t.test('Connect, protobuf, and the length known beforehand', async (t) => {
  const body = Buffer.concat(hello.map(inProto));
  const adding = new HttpAdd(one, 'application/connect+proto', { 'content-length': String(body.length) });
  await adding.send(body);
  t.match(rootOf(await adding.end()), { pin: { cid: helloCid } });
});

t.test('a web page: fetch, whose body is put together of pieces of files', async (t) => {
  const file = new Blob([Buffer.from('hello world\n')]);
  const before = Buffer.of(0, 0, 0, 0, file.size + 2, 0x1a, file.size);
  const body = new Blob([...[start, entry('hello.txt')].map(inProto), before, file]);
  const headers = { 'content-type': 'application/connect+proto' };
  const response = await fetch(`http://${one.httpHost}${path}`, { method: 'POST', headers, body });
  t.match(rootOf(Buffer.from(await response.arrayBuffer())), { pin: { cid: helloCid } });
});

t.test('gRPC-Web', async (t) => {
  const adding = new HttpAdd(one, 'application/grpc-web+proto');
  await adding.send(...hello.map(inProto));
  const answer = [...envelopesOf(await adding.end())];
  t.match(String(answer.at(-1)?.bytes), /^grpc-status: 0\r$/m);
  t.match(fromBinary(AddResponseSchema, answer.at(-2)?.bytes as Buffer).message, {
    case: 'root',
    value: { pin: { cid: helloCid } },
  });
});

t.test('curl', async (t) => {
  const run = promisify(execFile);
  const isThere = await run('curl', ['--version']).then(
    () => true,
    () => false,
  );
  if (!isThere) return t.comment('there is no curl here');
  const file = join(here.root, 'body');
  await writeFile(file, Buffer.concat(hello.map(inJson)));
  const type = 'content-type: application/connect+json';
  const url = `http://${one.httpHost}${path}`;
  const { stdout } = await run('curl', ['-sS', '--data-binary', `@${file}`, '-H', type, url]);
  t.match(stdout, `"root":{"pin":{"namespace":"default","cid":"${helloCid}"`);
});

t.test(
  'what is wrong stands in the end of the answer, with its code, also of a client that is still sending',
  async (t) => {
    const before = await held(one);
    const adding = new HttpAdd(one, 'application/connect+proto');
    await adding.send(inProto(start), inProto(entry('a/../../b')));
    await until('it is answered', () => adding.answered.length > 0);
    const { messages, end } = answerInProto(Buffer.concat(adding.answered));
    t.strictSame(messages, []);
    t.match(end.error, { code: 'invalid_argument', message: /"a\/..\/..\/b" has ".." in it/ });
    adding.request.destroy();
    const wrong: Record<string, [string, Buffer, string]> = {
      'no JSON': ['application/connect+json', envelope(Buffer.from('{"start":')), 'invalid_argument'],
      'no message': ['application/connect+proto', envelope(Buffer.of(0x0a, 0xff)), 'invalid_argument'],
      'half an envelope': [
        'application/connect+proto',
        Buffer.concat(hello.map(inProto)).subarray(0, -1),
        'invalid_argument',
      ],
      'a message of 2 GiB, announced': [
        'application/connect+proto',
        Buffer.of(0, 0x7f, 255, 255, 255),
        'resource_exhausted',
      ],
      'no start': ['application/connect+proto', inProto(entry('a')), 'invalid_argument'],
      nothing: ['application/connect+proto', Buffer.alloc(0), 'invalid_argument'],
    };
    for (const [name, [type, body, code]] of Object.entries(wrong)) {
      const adding = new HttpAdd(one, type);
      await adding.send(body);
      t.equal(JSON.parse(String([...envelopesOf(await adding.end())].at(-1)?.bytes)).error?.code, code, name);
    }
    t.strictSame(await held(one), before);
  },
);

t.test('the request is read while it comes, and is not kept', async (t) => {
  const resident = async () =>
    Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${one.pid()}/status`, 'utf8'))?.[1]);
  const sentMebibytes = 96;
  const adding = new HttpAdd(one, 'application/connect+proto');
  await adding.send(inProto(start), inProto(entry('big.bin')));
  const atFirst = await contentBytesOf(one);
  const sizes: number[] = [];
  const piece = seededBytes('big', mebibyte);
  for (let i = 0; i < sentMebibytes; i++) {
    piece[0] = i;
    await adding.send(inProto(data(piece)));
    if (process.platform === 'linux') sizes.push(await resident());
  }
  // Though the client has not ended it.
  await until('all of it is taken in', async () => (await contentBytesOf(one)) - atFirst === sentMebibytes * mebibyte);
  t.ok(adding.answered.length > 0, 'answers come meanwhile');
  t.match(rootOf(await adding.end()), { pin: { options: { name: 'big.bin' } } });
  const grown = Math.round((Math.max(0, ...sizes) - (sizes[0] ?? 0)) / 1024);
  t.comment(`the daemon had up to ${grown} MiB more than at the beginning`);
});

t.test('a client that goes away pins nothing', async (t) => {
  const before = await held(one);
  const [host, port] = one.httpHost.split(':') as [string, string];
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+proto\r\n`;
  const body = Buffer.concat([start, entry('cut'), data(seededBytes('cut', 1000))].map(inProto));
  const chunk = Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]);
  for (const [name, bytes] of Object.entries({
    'the length known': Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length + 1000}\r\n\r\n`), body]),
    'in chunks': Buffer.concat([Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`), chunk]),
  })) {
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const taken = await contentBytesOf(one);
      const socket = connect(Number(port), host).on('error', () => {});
      socket.write(bytes);
      await until('it is being read', async () => (await contentBytesOf(one)) === taken + 1000);
      socket[leave]();
      await until('the add is over', async () => (await addsUnderWay(one)) === 0);
      t.strictSame(await held(one), before, `${name}, ${leave}`);
    }
  }
});
