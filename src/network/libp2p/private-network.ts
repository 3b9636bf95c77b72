import { hkdfSync } from 'node:crypto';
import type { NoiseComponents } from '@chainsafe/libp2p-noise';
import { noise } from '@chainsafe/libp2p-noise';
import type { ConnectionEncrypter, MessageStream } from '@libp2p/interface';
import { hex } from '../../model/bytes.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { noiseCrypto } from '../../runtime/noise-crypto.ts';
import {
  HANDSHAKE_WARNING_ADDRESSES_MAX,
  HANDSHAKE_WARNING_INTERVAL_MS,
  MDNS_TAG_BYTES,
  MDNS_TAG_INFO,
  SWARM_PROLOGUE_BYTES,
  SWARM_PROLOGUE_INFO,
} from '../constants.ts';
import type { NetworkMetrics } from '../metrics.ts';

/** Both sides of a handshake must have the same prologue: without the secret there is no connection. */
export function swarmPrologue(secret: Uint8Array | undefined): Uint8Array {
  if (secret === undefined) return new Uint8Array(0);
  return derive(secret, SWARM_PROLOGUE_INFO, SWARM_PROLOGUE_BYTES);
}

/** The name under which peers of one secret announce themselves on the local network. */
export function mdnsTag(secret: Uint8Array | undefined): string {
  if (secret === undefined) return '_pinfold._udp.local';
  return `_pinfold-${hex(derive(secret, MDNS_TAG_INFO, MDNS_TAG_BYTES))}._udp.local`;
}

function derive(secret: Uint8Array, info: string, length: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), info, length));
}

export interface PrivateNoiseNeeds {
  clock: Clock;
  logger: Logger;
  metrics: NetworkMetrics;
}

/**
 * Noise with the prologue of this network, telling the operator when a handshake fails. The other side only sees
 * the connection close.
 */
export function privateNoise(prologueBytes: Uint8Array, needs: PrivateNoiseNeeds) {
  const createNoise = noise({ prologueBytes, crypto: noiseCrypto });
  const warnings = new HandshakeWarnings(needs);
  return (components: NoiseComponents): ConnectionEncrypter => {
    const inner = createNoise(components);
    return {
      protocol: inner.protocol,
      secureInbound: (stream, options) => warnings.watch('inbound', stream, inner.secureInbound(stream, options)),
      secureOutbound: (stream, options) => warnings.watch('outbound', stream, inner.secureOutbound(stream, options)),
    };
  };
}

class HandshakeWarnings {
  readonly #needs: PrivateNoiseNeeds;
  readonly #warnedAtMs = new Map<string, number>();

  constructor(needs: PrivateNoiseNeeds) {
    this.#needs = needs;
  }

  async watch<T>(direction: 'inbound' | 'outbound', stream: MessageStream, handshake: Promise<T>): Promise<T> {
    try {
      return await handshake;
    } catch (error) {
      this.#needs.metrics.handshakesRefused.add(1, { direction });
      this.#warn(direction, remoteHost(stream), error);
      throw error;
    }
  }

  #warn(direction: string, remote: string, error: unknown): void {
    const nowMs = this.#needs.clock.monotonicMs();
    const lastMs = this.#warnedAtMs.get(remote);
    if (lastMs !== undefined && nowMs - lastMs < HANDSHAKE_WARNING_INTERVAL_MS) return;
    if (this.#warnedAtMs.size >= HANDSHAKE_WARNING_ADDRESSES_MAX) this.#warnedAtMs.clear();
    this.#warnedAtMs.set(remote, nowMs);
    this.#needs.logger.warn('a handshake with another peer failed: it probably has another cluster secret', {
      direction,
      remote,
    });
    this.#needs.logger.debug('why the handshake failed', { remote, error });
  }
}

/** The address without its port, which is another one at every attempt from outside. */
function remoteHost(stream: MessageStream): string {
  const { remoteAddr } = stream as MessageStream & { remoteAddr?: { toString(): string } };
  return remoteAddr?.toString().split('/').slice(0, 3).join('/') ?? 'unknown';
}
