import { varintSize, type Writer } from '../../pinset/codec/writer.ts';

// What messages that are encoded by hand have in common. Tags: field number x 8 + wire type.
const SECONDS = 0x08;
const NANOS = 0x10;

/** A message inside another. */
export function messageField(into: Writer, tag: number, message: Writer): void {
  into.ensure(message.at + 11);
  into.bytes[into.at++] = tag;
  into.varint(message.at);
  message.bytes.copy(into.bytes, into.at, 0, message.at);
  into.at += message.at;
}

/** A google.protobuf.Timestamp; not before 1970. */
export function timeField(into: Writer, tag: number, ms: number): void {
  const seconds = Math.floor(ms / 1000);
  const nanos = (ms - seconds * 1000) * 1_000_000;
  const size = (seconds === 0 ? 0 : 1 + varintSize(seconds)) + (nanos === 0 ? 0 : 1 + varintSize(nanos));
  into.ensure(24);
  into.bytes[into.at++] = tag;
  into.varint(size);
  into.varintField(SECONDS, seconds);
  into.varintField(NANOS, nanos);
}

/**
 * Has a field of messages made only for who looks at it: a door that takes the encoded form does not. To be called once a field and not
 * once a message: V8 keeps a getter with the shapes of objects, so one of a message's own would keep the message until the next full
 * collection.
 */
export function lazyField<T extends object, F extends keyof T & string>(
  field: F,
): (message: T, make: () => T[F]) => void {
  const state = Symbol(`lazy ${field}`);
  const getter = {
    enumerable: true,
    get(this: { [state]: { make: () => T[F]; made?: T[F] } }): T[F] {
      this[state].made ??= this[state].make();
      return this[state].made;
    },
  };
  return (message, make) => {
    Object.defineProperty(message, state, { value: { make } });
    Object.defineProperty(message, field, getter);
  };
}
