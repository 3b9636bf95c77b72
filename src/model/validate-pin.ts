import { invalidField } from './errors.ts';
import { everywhere, namespacePattern, type PinFields, pinLimits } from './pin.ts';

/** Throws INVALID_ARGUMENT naming the first field that is wrong. */
export function checkNamespace(namespace: string): void {
  if (!namespacePattern.test(namespace)) {
    throw invalidField(
      'namespace',
      `"${namespace.slice(0, 80)}" must have 1 to 63 of the characters a-z, 0-9, "." and "-"`,
    );
  }
}

/** Checks what a client says of a pin, factors resolved. Throws INVALID_ARGUMENT naming the field. */
export function checkPinFields(fields: PinFields): void {
  checkFactors(fields.replicationMin, fields.replicationMax);
  checkBytes('options.name', fields.name, pinLimits.nameBytesMax);
  if (fields.metadata.length > 0) checkMetadata(fields.metadata);
  if (fields.origins.length > 0) checkOrigins('options.origins', fields.origins);
  if (fields.userAllocations.length > pinLimits.allocationsMax) {
    throw invalidField('options.user_allocations', `at most ${pinLimits.allocationsMax} peers`);
  }
}

function checkFactors(min: number, max: number): void {
  if (min === everywhere && max === everywhere) return;
  if (min === everywhere || max === everywhere) {
    throw invalidField('options.replication_min', 'min and max must both be -1 (everywhere), or neither');
  }
  if (!Number.isInteger(min) || min < 1)
    throw invalidField('options.replication_min', `${min} is neither -1 nor at least 1`);
  if (!Number.isInteger(max) || max < min)
    throw invalidField('options.replication_max', `${max} is less than min (${min})`);
}

function checkMetadata(metadata: PinFields['metadata']): void {
  const seen = new Set<string>();
  let bytes = 0;
  for (const [key, value] of metadata) {
    if (key === '') throw invalidField('options.metadata', 'a key is empty');
    if (seen.has(key)) throw invalidField('options.metadata', `the key "${key.slice(0, 80)}" stands twice`);
    seen.add(key);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > pinLimits.metadataBytesMax) {
    throw invalidField('options.metadata', `${bytes} bytes; at most ${pinLimits.metadataBytesMax} are allowed`);
  }
}

/** Throws INVALID_ARGUMENT naming `field`. */
export function checkOrigins(field: string, origins: readonly string[]): void {
  if (origins.length > pinLimits.originsMax) {
    throw invalidField(field, `${origins.length} origins; at most ${pinLimits.originsMax} are allowed`);
  }
  for (const origin of origins) {
    checkBytes(field, origin, pinLimits.originBytesMax);
    if (!origin.startsWith('/') || !origin.includes('/p2p/')) {
      throw invalidField(field, `"${origin.slice(0, 80)}" is not a multiaddr with /p2p/`);
    }
  }
}

function checkBytes(field: string, text: string, max: number): void {
  // A UTF-16 unit has at most 3 bytes of UTF-8: most texts need no count.
  if (text.length * 3 <= max) return;
  const bytes = Buffer.byteLength(text);
  if (bytes > max) throw invalidField(field, `${bytes} bytes; at most ${max} are allowed`);
}
