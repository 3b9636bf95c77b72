import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { FrameError } from './frame.ts';

const METHOD_FIELD = 1;

/** The head of a call: a protobuf message with the method's name in field 1. Later versions may add fields. */
export function encodeHead(methodName: string): Uint8Array {
  return new BinaryWriter().tag(METHOD_FIELD, WireType.LengthDelimited).string(methodName).finish();
}

/** The method's name. Throws a FrameError. */
export function decodeHead(bytes: Uint8Array): string {
  let methodName = '';
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === METHOD_FIELD && type === WireType.LengthDelimited) methodName = reader.string();
      else reader.skip(type, field);
    }
  } catch (cause) {
    throw new FrameError('malformed', 'the head of a call cannot be read', cause);
  }
  if (methodName === '') throw new FrameError('malformed', 'the head of a call names no method');
  return methodName;
}
