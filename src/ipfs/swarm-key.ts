import { hex } from '../model/bytes.ts';

/** Bytes of the pre-shared key of a private IPFS network. */
export const SWARM_KEY_BYTES = 32;

/**
 * The key of a private IPFS network as the text of Kubo's `swarm.key`, which libp2p's protector reads as well
 * (https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md). The text is a secret.
 */
export function formatSwarmKey(key: Uint8Array): string {
  if (key.length !== SWARM_KEY_BYTES)
    throw new RangeError(`a swarm key has ${SWARM_KEY_BYTES} bytes, not ${key.length}`);
  return `/key/swarm/psk/1.0.0/\n/base16/\n${hex(key)}\n`;
}
