import { randomFillSync } from 'node:crypto';
import type { AbortOptions, ConnectionProtector, MultiaddrConnection } from '@libp2p/interface';
import { AbstractMultiaddrConnection, byteStream, type SendResult } from '@libp2p/utils';
import { SWARM_KEY_BYTES } from '../../swarm-key.ts';
import { XSalsa20 } from './xsalsa20.ts';

const NONCE_BYTES = 24;

/**
 * Private networks by pre-shared key, version 1, as Kubo has them
 * (https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md): each side sends a nonce, and all that
 * follows is XSalsa20 under the key and that nonce. Nodes with different keys read noise from each other, and the handshake fails.
 * In place of `@libp2p/pnet` for the cipher, see XSalsa20.
 */
export function privateNetwork(key: Uint8Array): () => ConnectionProtector {
  if (key.length !== SWARM_KEY_BYTES)
    throw new RangeError(`a swarm key has ${SWARM_KEY_BYTES} bytes, not ${key.length}`);
  // What libp2p has protected is always what a transport has made: its own protector takes it so, too.
  return () => ({ protect: (connection, options) => protect(connection as MultiaddrConnection, key, options) });
}

async function protect(
  connection: MultiaddrConnection,
  key: Uint8Array,
  options?: AbortOptions,
): Promise<MultiaddrConnection> {
  const localNonce = randomFillSync(new Uint8Array(NONCE_BYTES));
  const bytes = byteStream(connection);
  // libp2p's upgrader gives the signal, with the time-out of the whole handshake.
  const [remoteNonce] = await Promise.all([
    bytes.read({ bytes: NONCE_BYTES, ...options }),
    bytes.write(localNonce, options),
  ]);
  const inbound = new XSalsa20(remoteNonce.subarray(), key);
  bytes.unwrap();
  return new ProtectedConnection(connection, inbound, new XSalsa20(localNonce, key));
}

type SentData = Parameters<AbstractMultiaddrConnection['sendData']>[0];

/** What the muxer sees in place of the TCP connection. */
class ProtectedConnection extends AbstractMultiaddrConnection {
  readonly #connection: MultiaddrConnection;
  readonly #outbound: XSalsa20;

  constructor(connection: MultiaddrConnection, inbound: XSalsa20, outbound: XSalsa20) {
    const { remoteAddr, direction } = connection;
    super({ remoteAddr, direction, log: connection.log.newScope('private-network') });
    this.#connection = connection;
    this.#outbound = outbound;
    connection.addEventListener('message', (event) => {
      for (const piece of event.data instanceof Uint8Array ? [event.data] : event.data)
        this.onData(inbound.update(piece));
    });
    connection.addEventListener('drain', () => this.onMuxerDrain());
    connection.addEventListener('close', (event) => {
      if (event.error === undefined) this.onTransportClosed();
      else if (event.local === true) this.abort(event.error);
      else this.onRemoteReset();
    });
  }

  override async sendClose(options?: AbortOptions): Promise<void> {
    await this.#connection.close(options);
  }

  override sendData(data: SentData): SendResult {
    const canSendMore = this.#connection.send(this.#outbound.update(data.subarray()));
    return { sentBytes: data.byteLength, canSendMore };
  }

  override sendReset(failure: Error): void {
    this.#connection.abort(failure);
  }

  override sendPause(): void {
    this.#connection.pause();
  }

  override sendResume(): void {
    this.#connection.resume();
  }
}
