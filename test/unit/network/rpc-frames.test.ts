import * as fc from 'fast-check';
import t from 'tap';
import type { ErrorCode } from '../../../src/model/errors.ts';
import { errorRegistry, PinfoldError } from '../../../src/model/errors.ts';
import { RPC_TRAILER_BYTES_MAX } from '../../../src/network/constants.ts';
import { peerMethodName, peerMethodOf, peerMethods } from '../../../src/network/peer-methods.ts';
import type { Frame, FrameKind } from '../../../src/network/rpc/frame.ts';
import { encodeFrames, FrameDecoder, FrameError } from '../../../src/network/rpc/frame.ts';
import { decodeHead, encodeHead } from '../../../src/network/rpc/head.ts';
import { decodeTrailer, encodeTrailer } from '../../../src/network/rpc/trailer.ts';

const PAYLOAD_MAX = 1_000;

function takeAll(decoder: FrameDecoder): Frame[] {
  const frames: Frame[] = [];
  for (let frame = decoder.take(PAYLOAD_MAX); frame !== undefined; frame = decoder.take(PAYLOAD_MAX))
    frames.push(frame);
  return frames;
}

const anyFrame = fc.record({
  kind: fc.integer({ min: 1, max: 5 }).map((kind) => kind as FrameKind),
  payload: fc.uint8Array({ maxLength: PAYLOAD_MAX }),
});

t.test('frames are the same however their bytes are cut', async () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 });
  const property = fc.property(fc.array(anyFrame, { maxLength: 8 }), cuts, (frames, lengths) => {
    const bytes = encodeFrames(frames);
    const decoder = new FrameDecoder();
    const taken: Frame[] = [];
    for (let offset = 0, n = 0; offset < bytes.length; n++) {
      const length = lengths[n % lengths.length] as number;
      decoder.push(bytes.subarray(offset, offset + length));
      offset += length;
      taken.push(...takeAll(decoder));
    }
    const same = taken.every(({ kind, payload }, i) => {
      return kind === frames[i]?.kind && Buffer.compare(payload, frames[i].payload) === 0;
    });
    return same && taken.length === frames.length && decoder.length === 0;
  });
  fc.assert(property);
});

t.test('whatever bytes come, frames, heads and trailers are read or refused', async () => {
  const refuses = (read: () => unknown) => {
    try {
      read();
      return true;
    } catch (error) {
      return error instanceof FrameError;
    }
  };
  const property = fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    const decoder = new FrameDecoder();
    decoder.push(bytes);
    return refuses(() => takeAll(decoder)) && refuses(() => decodeHead(bytes)) && refuses(() => decodeTrailer(bytes));
  });
  fc.assert(property, { numRuns: 1_000 });
});

t.test('a frame that is too long is refused before it is there', async (t) => {
  const decoder = new FrameDecoder();
  decoder.push(Uint8Array.of(2, 0, 0, 0));
  t.equal(decoder.take(10), undefined);
  decoder.push(Uint8Array.of(11));
  t.throws(() => decoder.take(10), { name: 'FrameError', reason: 'oversized' });
});

t.test('every method is found by the name on the wire', async (t) => {
  for (const method of Object.keys(peerMethods) as (keyof typeof peerMethods)[]) {
    t.equal(peerMethodOf(decodeHead(encodeHead(peerMethodName(method)))), method);
  }
  t.equal(peerMethodName('getStatuses'), 'GetStatuses');
  t.equal(peerMethodOf('constructor'), undefined);
});

t.test('every error code travels', async (t) => {
  for (const code of Object.keys(errorRegistry) as ErrorCode[]) {
    t.equal(decodeTrailer(encodeTrailer(new PinfoldError(code, 'why')))?.code, code);
  }
  t.equal(decodeTrailer(encodeTrailer(undefined)), undefined);
});

t.test('an error too large for a trailer loses its details, not its code', async (t) => {
  const error = new PinfoldError('LIMIT_REACHED', 'm'.repeat(5_000), {
    facts: { much: 'x'.repeat(RPC_TRAILER_BYTES_MAX) },
  });
  const trailer = encodeTrailer(error);
  t.ok(trailer.length < RPC_TRAILER_BYTES_MAX);
  t.match(decodeTrailer(trailer), { code: 'LIMIT_REACHED', details: { facts: undefined } });
});

t.test('a code of a later version is INTERNAL here', async (t) => {
  const error = new PinfoldError('NEWER_THAN_THIS' as ErrorCode, 'why');
  t.throws(() => encodeTrailer(error), 'and none of ours is sent');
  const known = Buffer.from(encodeTrailer(new PinfoldError('DISK_FULL', 'why')));
  const renamed = Buffer.from(known.toString('latin1').replace('DISK_FULL', 'DISK_GONE'), 'latin1');
  t.match(decodeTrailer(renamed), { code: 'INTERNAL', message: 'why' });
});
