import { generateKeyPairFromSeed, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Random } from '../runtime/random.ts';
import { configInvalid } from './problem.ts';

/** Who a peer is: its key, and the peer ID that follows from it. */
export interface Identity {
  /** `12D3Koo...` */
  readonly peerId: string;
  readonly privateKey: Ed25519PrivateKey;
}

export async function createIdentity(random: Random): Promise<Identity> {
  return identityOf(await generateKeyPairFromSeed('Ed25519', random.bytes(32)));
}

/** The text of `identity.json`: the key is the libp2p protobuf in base64, as Kubo and IPFS Cluster write it. */
export function encodeIdentity({ peerId, privateKey }: Identity): string {
  const key = Buffer.from(privateKeyToProtobuf(privateKey)).toString('base64');
  return `${JSON.stringify({ peerId, privateKey: key }, null, 2)}\n`;
}

/** Errors: `CONFIG_INVALID`, which never quotes the text. */
export function decodeIdentity(path: string, text: string): Identity {
  const { peerId, privateKey } = parse(path, text);
  const identity = identityOf(decodeKey(path, privateKey));
  if (identity.peerId !== peerId) {
    throw configInvalid([{ at: path, problem: `its key is that of ${identity.peerId}, not of its peerId` }]);
  }
  return identity;
}

function parse(path: string, text: string): { peerId: string; privateKey: string } {
  try {
    const { peerId, privateKey } = JSON.parse(text) as Record<string, unknown>;
    if (typeof peerId === 'string' && typeof privateKey === 'string') return { peerId, privateKey };
  } catch {
    // V8's message quotes what it read, which may be the key.
  }
  throw configInvalid([{ at: path, problem: 'must be a JSON object with the texts peerId and privateKey' }]);
}

function decodeKey(path: string, base64: string): Ed25519PrivateKey {
  try {
    const key = privateKeyFromProtobuf(Buffer.from(base64, 'base64'));
    if (key.type === 'Ed25519') return key;
  } catch {
    // As above.
  }
  throw configInvalid([{ at: path, problem: 'privateKey is not an Ed25519 key in the form of libp2p' }]);
}

function identityOf(privateKey: Ed25519PrivateKey): Identity {
  return { peerId: peerIdFromPrivateKey(privateKey).toString(), privateKey };
}
