import type { Libp2p, PeerId, Stream } from '@libp2p/interface';
import { deadlineSignal } from '../../../runtime/abort.ts';
import type { Timer, Timers } from '../../../runtime/clock.ts';
import { BITSWAP_PROTOCOL, SEND_TIMEOUT_MS, STREAM_IDLE_MS } from './constants.ts';
import { type BitswapMessage, encodeFrame } from './message.ts';

export interface PeerLinkNeeds {
  host: Libp2p;
  timers: Timers;
}

/**
 * Messages to one peer, one after the other over one stream that is kept while it is used, as Kubo does. Helia opens
 * one for each message.
 */
export class PeerLink {
  readonly #peer: PeerId;
  readonly #needs: PeerLinkNeeds;
  readonly #closed = new AbortController();
  #stream: Stream | undefined;
  #idle: Timer | undefined;

  constructor(peer: PeerId, needs: PeerLinkNeeds) {
    this.#peer = peer;
    this.#needs = needs;
  }

  /** Resolves when the message has left for the connection. One call at a time. Rejects when it did not. */
  async send(message: BitswapMessage): Promise<void> {
    this.#idle?.cancel();
    using scope = deadlineSignal(this.#needs.timers, SEND_TIMEOUT_MS, this.#closed.signal);
    try {
      await this.#write(encodeFrame(message), scope.signal);
      this.#idle = this.#needs.timers.after(STREAM_IDLE_MS, () => this.#drop());
    } catch (cause) {
      this.#stream?.abort(cause as Error);
      this.#stream = undefined;
      throw cause;
    }
  }

  close(): void {
    this.#idle?.cancel();
    this.#closed.abort(new Error('the link is closed'));
    this.#drop();
  }

  /** A stream that was kept may have been reset meanwhile: then once more, on a new one. */
  async #write(frame: Uint8Array, signal: AbortSignal): Promise<void> {
    const kept = this.#stream;
    try {
      const stream = await this.#open(signal);
      if (!stream.send(frame)) await stream.onDrain({ signal });
    } catch (cause) {
      if (kept === undefined || kept !== this.#stream || signal.aborted) throw cause;
      kept.abort(cause as Error);
      this.#stream = undefined;
      await this.#write(frame, signal);
    }
  }

  async #open(signal: AbortSignal): Promise<Stream> {
    signal.throwIfAborted();
    if (this.#stream?.status === 'open' && this.#stream.writeStatus === 'writable') return this.#stream;
    const stream = await this.#needs.host.dialProtocol(this.#peer, BITSWAP_PROTOCOL, { signal });
    this.#stream = stream;
    return stream;
  }

  #drop(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.close().catch((cause) => stream.abort(cause));
  }
}
