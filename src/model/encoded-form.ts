const encoder = Symbol('encoded by');

/**
 * Says how a message is encoded by hand, equal to what the generated code would make of it: for hot messages. A door that does not ask
 * encodes its fields as usual.
 */
export function encodedBy<T extends object>(message: T, encode: () => Uint8Array): T {
  // Not in a WeakMap: a young collection keeps what such a map leads to, and all that leads on from there. Not enumerable: a copy is another message.
  Object.defineProperty(message, encoder, { value: encode });
  return message;
}

/** The bytes of a message that says how it is encoded. */
export function encodedForm(message: unknown): Uint8Array | undefined {
  return (message as { [encoder]?: () => Uint8Array })[encoder]?.();
}
