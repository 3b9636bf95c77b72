import { hash } from 'node:crypto';
import { equalBytes } from '../model/bytes.ts';
import { PinfoldError } from '../model/errors.ts';
import { formatPeerId, isPeerIdBytes, parsePeerId, peerIdBytes } from '../model/peer-id.ts';
import type { PinKey } from '../model/pin.ts';
import { checkPinKey } from '../model/pin-key.ts';
import { TOKEN_BYTES_MAX, TOKEN_PEERS_MAX } from './constants.ts';

/** Where a watch stands. */
export interface WatchPlace {
  /** Peer that served it, and which history of its store the revision is of (`historyAt`): it means nothing elsewhere. Empty: not known. */
  peerId: string;
  storeIncarnation: Uint8Array;
  /** Of the pinset's feed. */
  revision: number;
  /** The same state as every peer of the cluster can understand it; undefined when it could not be told. */
  position: Uint8Array | undefined;
  /** Told before, while what their nodes hold was still asked for. */
  asked: readonly PinKey[];
  /** How far each member's status feed was followed. */
  peers: ReadonlyMap<string, StatusPlace>;
}

export interface StatusPlace {
  incarnation: Uint8Array;
  revision: number;
  /** Of that revision. */
  mark: Uint8Array;
}

const version = 1;
const checksumBytes = 4;
const bytesMax = 0xffff;

/** Version, peer, incarnation, revision, position, number of keys, keys, peers; checksum. Lengths have two bytes, revisions eight. */
export function encodeResumeToken(place: WatchPlace): Uint8Array {
  const peers = [...place.peers].slice(0, TOKEN_PEERS_MAX);
  const body = Buffer.concat([
    Uint8Array.of(version),
    parsePeerId(place.peerId),
    sized(place.storeIncarnation),
    number(place.revision),
    sized(place.position ?? new Uint8Array()),
    Uint8Array.of(place.asked.length),
    ...place.asked.map(sized),
    ...peers.flatMap(([peerId, { incarnation, revision, mark }]) => [
      parsePeerId(peerId),
      sized(incarnation),
      number(revision),
      sized(mark),
    ]),
  ]);
  return new Uint8Array(Buffer.concat([body, checksum(body)]));
}

/** Throws INVALID_TOKEN. */
export function decodeResumeToken(token: Uint8Array): WatchPlace {
  const body = token.subarray(0, -checksumBytes);
  const isWhole =
    token.length <= TOKEN_BYTES_MAX &&
    token.length > checksumBytes &&
    equalBytes(checksum(body), token.subarray(-checksumBytes));
  if (!isWhole) throw invalid();
  const reader = new TokenReader(body);
  if (reader.take(1)[0] !== version) throw invalid();
  const peerId = reader.peerId();
  const storeIncarnation = reader.sized();
  const revision = reader.number();
  const position = reader.sized();
  const asked = Array.from({ length: reader.take(1)[0] as number }, () => reader.pinKey());
  const peers = new Map<string, StatusPlace>();
  while (reader.hasMore) {
    const member = reader.peerId();
    peers.set(member, { incarnation: reader.sized(), revision: reader.number(), mark: reader.sized() });
  }
  return { peerId, storeIncarnation, revision, position: position.length === 0 ? undefined : position, asked, peers };
}

class TokenReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get hasMore(): boolean {
    return this.#at < this.#bytes.length;
  }

  take(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw invalid();
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  sized(): Uint8Array {
    const [high, low] = this.take(2) as unknown as [number, number];
    return this.take(high * 256 + low);
  }

  number(): number {
    const value = Buffer.from(this.take(8)).readBigUInt64BE();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid();
    return Number(value);
  }

  pinKey(): PinKey {
    const key = this.sized();
    try {
      checkPinKey(key);
    } catch {
      throw invalid();
    }
    return key;
  }

  peerId(): string {
    const bytes = this.take(peerIdBytes);
    if (!isPeerIdBytes(bytes)) throw invalid();
    return formatPeerId(bytes);
  }
}

function sized(bytes: Uint8Array): Buffer {
  // A position with more writers than that cannot be named: the token then holds on this peer only.
  const named = bytes.length > bytesMax ? new Uint8Array() : bytes;
  return Buffer.concat([Uint8Array.of(named.length >> 8, named.length & 255), named]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function checksum(body: Uint8Array): Uint8Array {
  return hash('sha256', body, 'buffer').subarray(0, checksumBytes);
}

function invalid(): PinfoldError {
  return new PinfoldError('INVALID_TOKEN', 'the resume token is damaged or not one of a watch of pins');
}
