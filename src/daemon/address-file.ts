import { readBoundedText, replaceFile } from '../config/files.ts';
import type { AddressStore } from '../network/address-book.ts';
import type { Logger } from '../runtime/logger.ts';

const fileBytesMax = 16 * 1024 * 1024;

/** Addresses of peers in a JSON file: `{"12D3Koo...": ["/ip4/..."]}`. A damaged one is as good as none: peers are found anew. */
export function addressFile(path: string, logger: Logger): AddressStore {
  return {
    async load() {
      const text = await readBoundedText(path, fileBytesMax);
      if (text === undefined) return new Map();
      const addresses = parse(text);
      if (addresses === undefined) logger.warn('the file of peer addresses is damaged and not used', { path });
      return addresses ?? new Map();
    },
    save: (addresses) => replaceFile(path, `${JSON.stringify(Object.fromEntries(addresses))}\n`, 0o600),
  };
}

function parse(text: string): Map<string, readonly string[]> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
    const entries = Object.entries(parsed);
    return entries.every(([, value]) => isTexts(value)) ? new Map(entries) : undefined;
  } catch {
    return undefined;
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
