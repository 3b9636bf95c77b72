import type { ByteKey } from './bytes.ts';

/** A pin as the cluster means it: one claim on a CID. Times are wall clock, milliseconds since 1970. */
export interface Pin extends PinFields {
  /** Binary, version 0 or 1, as it was given. */
  cid: Uint8Array;
  namespace: string;
  /** Peer IDs. Empty: everywhere (both factors are -1). */
  allocations: readonly string[];
}

/** What the author of a pin says; the part that is stored and digested as it came. */
export interface PinFields {
  name: string;
  mode: PinMode;
  /** -1 (both): everywhere. Otherwise 1 <= min <= max. */
  replicationMin: number;
  replicationMax: number;
  /** Peer IDs preferred by the user. */
  userAllocations: readonly string[];
  /** Keys unique, in the order given. */
  metadata: readonly (readonly [key: string, value: string])[];
  origins: readonly string[];
  createdMs: number;
  /** 0: never. */
  expiresMs: number;
  /** Binary CID that this one replaced. */
  updatedFrom: Uint8Array | undefined;
  type: 'data';
}

export type PinMode = 'recursive' | 'direct';

export const everywhere = -1;

/** Whether the pin is to be held by that peer's node. */
export function isAllocatedTo(pin: Pick<Pin, 'replicationMin' | 'allocations'>, peerId: string): boolean {
  return pin.replicationMin === everywhere || pin.allocations.includes(peerId);
}

export const defaultNamespace = 'default';

/** Limits of one pin (docs/protocol.md, limits). Bytes as UTF-8. */
export const pinLimits = {
  cidBytesMax: 128,
  namespaceLengthMax: 63,
  nameBytesMax: 1024,
  metadataBytesMax: 8 * 1024,
  originsMax: 20,
  originBytesMax: 512,
  valueBytesMax: 16 * 1024,
  allocationsMax: 1024,
} as const;

export const namespacePattern = /^[a-z0-9.-]{1,63}$/;

/**
 * Identity of a pin, and its place in every peer's order: first 8 bytes of SHA-256(CID), CID, 0x00, namespace in UTF-8 (`default`
 * as the empty string). Claims on one CID are neighbours.
 */
export type PinKey = ByteKey;
