import { hkdfSync } from 'node:crypto';

/** The pre-shared key of the private IPFS network, 32 bytes: it follows from the cluster's secret. */
export function ipfsNetworkKey(secret: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(), 'pinfold/ipfs/1', 32));
}
