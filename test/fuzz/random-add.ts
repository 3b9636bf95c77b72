import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type AddEntrySchema,
  type AddRequest,
  AddRequestSchema,
  type AddStartSchema,
  ContentFormat,
  type ImportOptionsSchema,
} from '../../gen/pinfold/v1/pin_service_pb.ts';
import { addDataBytesMax } from '../../src/api/constants.ts';
import type { SimRandom } from '../sim/world/sim-random.ts';
import { randomCar, randomSizes } from './random-car.ts';

type Message = NonNullable<MessageInitShape<typeof AddRequestSchema>['message']>;

export interface AddMessages {
  messages: AddRequest[];
  /** How the stream ends: as it should, with an error, or never, the caller having gone away. */
  end: 'ended' | 'broken' | 'gone';
}

export function randomAdd(random: SimRandom): AddMessages {
  const isOdd = random.chance(0.5);
  let messages: Message[] = random.chance(0.3) ? carMessages(random, isOdd) : fileMessages(random, isOdd);
  if (isOdd && random.chance(0.5)) messages = disordered(random, messages);
  return {
    messages: messages.map((message) => create(AddRequestSchema, { message })),
    end: random.weighted({ ended: 8, broken: 1, gone: 1 }),
  };
}

function carMessages(random: SimRandom, isOdd: boolean): Message[] {
  const bytes = randomCar(random);
  const messages: Message[] = [startMessage(random, { format: ContentFormat.CAR }, isOdd)];
  const sizes = randomSizes(random);
  for (let at = 0; at < bytes.length && messages.length < 500; ) {
    const size = random.pick(sizes);
    messages.push({ case: 'data', value: bytes.subarray(at, at + size) });
    at += size;
  }
  if (messages.length === 500) messages.push({ case: 'data', value: random.bytes(1) });
  return messages;
}

function fileMessages(random: SimRandom, isOdd: boolean): Message[] {
  const start = {
    wrapWithDirectory: random.chance(0.3),
    ...(random.chance(0.7) ? { import: importOptions(random, isOdd) } : {}),
  };
  const messages: Message[] = [startMessage(random, start, isOdd)];
  const paths = Array.from({ length: Math.floor(random.logarithmic(1, 12)) }, () => pathOf(random, isOdd)).sort();
  for (const path of new Set(paths)) messages.push(...entryMessages(random, path, isOdd));
  return messages;
}

function startMessage(random: SimRandom, given: MessageInitShape<typeof AddStartSchema>, isOdd: boolean): Message {
  const odd: MessageInitShape<typeof AddStartSchema>[] = [
    { namespace: random.pick(['a', 'A b', 'x'.repeat(64)]) },
    { format: random.pick([0, 1, 7]) as ContentFormat },
    { idempotencyKey: 'x'.repeat(random.int(1, 300)) },
    { wrapWithDirectory: true },
    { import: {} },
    { options: { name: 'n'.repeat(random.pick([1, 1024, 1025])) } },
    { options: { replicationMin: random.int(-2, 3), replicationMax: random.int(-2, 3) } },
  ];
  const common = { local: random.chance(0.2), ...given };
  return {
    case: 'start',
    value: { ...common, ...(isOdd && random.chance(0.3) ? random.pick(odd) : {}) } as MessageInitShape<
      typeof AddStartSchema
    >,
  };
}

function importOptions(random: SimRandom, isOdd: boolean): MessageInitShape<typeof ImportOptionsSchema> {
  const some = <T>(good: readonly T[], bad: readonly T[]): T | undefined => {
    if (random.chance(0.5)) return undefined;
    return random.pick(isOdd && random.chance(0.2) ? bad : good);
  };
  const set = {
    profile: some(['default', 'unixfs-v1-2025', 'unixfs-v0-2015', 'legacy-cid-v0'], ['x']),
    chunker: some(
      ['size-100', 'size-1000', 'rabin-16-64-256', 'rabin', 'buzhash'],
      ['size-0', 'rabin-3-2-1', 'size-9e9', '-'],
    ),
    trickle: some([true, false], [true]),
    rawLeaves: some([true, false], [true]),
    cidVersion: some([0, 1], [2, 4_294_967_295]),
    hash: some(['sha2-256', 'sha2-512', 'blake3', 'blake2b-256', 'sha3-224'], ['md5', 'identity']),
    inlineLimit: some([0, 1, 32, 120, 128], [129]),
    maxFileLinks: some([2, 3, 174], [0, 1, 100_000]),
    maxDirectoryLinks: some([0, 1, 3], [4_000_000_000]),
    maxHamtFanout: some([8, 16, 256, 1024], [0, 7, 2048]),
    hamtThresholdBytes: some([0n, 1n, 100n], [2n ** 64n - 1n]),
  };
  return Object.fromEntries(Object.entries(set).filter(([, value]) => value !== undefined));
}

const names = ['a', 'b', 'c', 'd', 'photos', 'ü', '日本', 'with space', '__proto__', 'n'.repeat(255)];
const hostile = [
  '',
  '.',
  '..',
  '/',
  '/etc/passwd',
  '../x',
  'a/../b',
  'a//b',
  'a/',
  'a\0b',
  '\ud800',
  'x'.repeat(256),
  'a/'.repeat(200),
];

function pathOf(random: SimRandom, isOdd: boolean): string {
  if (isOdd && random.chance(0.08)) return random.pick(hostile);
  return Array.from({ length: random.int(1, 4) }, () => random.pick(names)).join('/');
}

function entryMessages(random: SimRandom, path: string, isOdd: boolean): Message[] {
  const kept: MessageInitShape<typeof AddEntrySchema> = {
    path,
    ...(random.chance(0.15)
      ? { mode: random.pick(isOdd ? [0o644, 0, 0o7777, 0o10000, 2 ** 32 - 1] : [0o644, 0]) }
      : {}),
    ...(random.chance(0.15)
      ? { mtime: { seconds: random.pick([0n, -1n, 2n ** 63n - 1n]), nanoseconds: timeOf(random, isOdd) } }
      : {}),
  };
  switch (random.weighted({ file: 8, directory: 2, symlink: 1, both: isOdd ? 0.1 : 0 })) {
    case 'directory':
      return [{ case: 'entry', value: { ...kept, directory: true } }];
    case 'symlink':
      return [{ case: 'entry', value: { ...kept, symlink: random.pick(['', '../../x', 'a', 'x'.repeat(5000)]) } }];
    case 'both':
      return [{ case: 'entry', value: { ...kept, directory: true, symlink: 'x' } }];
    case 'file':
      return [{ case: 'entry', value: kept }, ...dataMessages(random, isOdd)];
  }
}

function timeOf(random: SimRandom, isOdd: boolean): number {
  return random.pick(isOdd ? [0, 1, 999_999_999, 1_000_000_000, 2 ** 32 - 1] : [0, 999_999_999]);
}

function dataMessages(random: SimRandom, isOdd: boolean): Message[] {
  const messages: Message[] = [];
  for (let left = random.int(0, 3); left > 0; left--) {
    const length = random.chance(0.1) ? 0 : Math.floor(random.logarithmic(1, 3_000));
    messages.push({ case: 'data', value: random.bytes(length) });
  }
  if (isOdd && random.chance(0.03))
    messages.push({ case: 'data', value: new Uint8Array(addDataBytesMax + random.int(0, 1)) });
  return messages;
}

/** Messages that are missing, doubled, out of place, or none that is known. */
function disordered(random: SimRandom, messages: readonly Message[]): Message[] {
  const at = random.int(0, messages.length - 1);
  const message = messages[at] as Message;
  switch (random.weighted({ drop: 3, double: 2, move: 2, unset: 1, data: 2, cut: 2 })) {
    case 'drop':
      return messages.toSpliced(at, 1);
    case 'double':
      return messages.toSpliced(at, 0, message);
    case 'move':
      return messages.toSpliced(at, 1).toSpliced(random.int(0, messages.length - 1), 0, message);
    case 'unset':
      return messages.toSpliced(at, 0, { case: undefined });
    case 'data':
      return messages.toSpliced(at, 0, { case: 'data', value: random.bytes(random.int(0, 9)) });
    case 'cut':
      return messages.slice(0, at);
  }
}
