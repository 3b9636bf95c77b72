import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';

const FILE = 'node.key';

/** The IPFS node's own Ed25519 key, in libp2p's protobuf form, mode 0600; made at the first start. */
export async function loadNodeKey(folder: string): Promise<PrivateKey> {
  const path = join(folder, FILE);
  const stored = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw cause;
  });
  if (stored !== undefined) return privateKeyFromProtobuf(stored);
  const key = await generateKeyPair('Ed25519');
  await writeSecret(path, privateKeyToProtobuf(key));
  return key;
}

/** Whole or not at all, also after a crash: the node's identity must not change once it was told to others. */
async function writeSecret(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
