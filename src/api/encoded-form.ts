const encoders = new WeakMap<object, () => Uint8Array>();

/**
 * Says how a message is encoded by hand, equal to what the generated code would make of it: for hot messages. A door that does not ask
 * encodes its fields as usual.
 */
export function encodedBy<T extends object>(message: T, encode: () => Uint8Array): T {
  encoders.set(message, encode);
  return message;
}

/** The bytes of a message that says how it is encoded. */
export function encodedForm(message: unknown): Uint8Array | undefined {
  return encoders.get(message as object)?.();
}
