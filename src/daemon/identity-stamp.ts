import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createFile, readBoundedText } from '../config/files.ts';
import type { Random } from '../runtime/random.ts';

/**
 * What tells this store from a copy or a restored backup of it: the inode and birth time of its data file, and a nonce
 * in a file beside it (docs/protocol.md N1). A copy has another inode; a store put back below the same name, too.
 */
export async function identityStamp(storeFolder: string, dataFile: string, random: Random): Promise<Uint8Array> {
  const nonceFile = join(storeFolder, 'nonce');
  await createFile(nonceFile, Buffer.from(random.bytes(16)).toString('hex'), 0o600);
  const nonce = (await readBoundedText(nonceFile, 256)) ?? '';
  // Not the device's number: it may change with every boot, and each change would cost a replica for ever.
  const { ino, birthtimeNs } = await stat(dataFile, { bigint: true });
  return new TextEncoder().encode(`${ino}:${birthtimeNs}:${nonce.trim()}`);
}
