import { create } from '@bufbuild/protobuf';
import { type AddRequest, AddRequestSchema } from '../gen/pinfold/v1/pin_service_pb.ts';

/** Bytes of one message. */
const pieceBytes = 512 * 1024;
const base = Buffer.alloc(pieceBytes);
for (let at = 0, state = 0x12345678; at < pieceBytes; at += 4) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  base.writeInt32LE(state, at);
}

/** Content that nobody can compress and of which no two blocks are equal; made at the cost of a copy. `seed` makes it another. */
export function* contentOf(seed: number, bytes: number): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0, piece = 0; at < bytes; at += pieceBytes, piece++) {
    const value = new Uint8Array(base.subarray(0, Math.min(pieceBytes, bytes - at)));
    const view = new DataView(value.buffer);
    for (let block = 0; block + 12 <= value.length; block += 4_096) {
      view.setUint32(block, seed);
      view.setUint32(block + 4, piece);
    }
    yield value;
  }
}

/** The same as the messages of an add. */
export function* addOf(
  seed: number,
  bytes: number,
  start: NonNullable<Extract<AddRequest['message'], { case: 'start' }>['value']>,
): Generator<AddRequest> {
  yield create(AddRequestSchema, { message: { case: 'start', value: start } });
  yield create(AddRequestSchema, { message: { case: 'entry', value: { path: `content-${seed}` } } });
  for (const value of contentOf(seed, bytes)) yield create(AddRequestSchema, { message: { case: 'data', value } });
}
