import { createHash } from 'node:crypto';
import { ed25519Signer, type Signer } from '../../../src/runtime/ed25519.ts';

const signers: Signer[] = [];

/** The same few identities in every world: making a key costs more than most events. */
export function identity(number: number): Signer {
  const known = signers[number];
  if (known !== undefined) return known;
  const signer = ed25519Signer(createHash('sha256').update(`simulated peer ${number}`).digest());
  signers[number] = signer;
  return signer;
}
