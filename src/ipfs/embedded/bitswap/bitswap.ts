import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface';
import { CID } from 'multiformats/cid';
import { byteString } from '../../../model/bytes.ts';
import { raceSignal } from '../../../runtime/abort.ts';
import type { Clock, Timer, Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { CallOptions } from '../../connector.ts';
import { hashers } from '../../dag/hashers.ts';
import type { IpfsMetrics } from '../../metrics.ts';
import type { BlockStore } from '../../node/block-store.ts';
import {
  ANSWER_CHECK_MS,
  ANSWER_PATIENCE_MS,
  ANSWER_TIMEOUT_MS,
  BITSWAP_PROTOCOL,
  INBOUND_STREAMS_MAX,
  MESSAGE_BYTES_MAX,
  UNFINISHED_BYTES_MAX,
} from './constants.ts';
import { Frames, OversizedError } from './frames.ts';
import { type BitswapMessage, decodeMessage } from './message.ts';
import { BitswapPeer } from './peer.ts';
import { PeerLink } from './peer-link.ts';

export interface BitswapNeeds {
  host: Libp2p;
  blocks: Pick<BlockStore, 'get' | 'has'>;
  clock: Clock;
  timers: Timers;
  logger: Logger;
  metrics: IpfsMetrics;
}

interface Want {
  key: string;
  cid: CID;
  /** How many wait for it. */
  users: number;
  got: PromiseWithResolvers<Uint8Array>;
  /** What each peer was last asked. */
  asked: Map<BitswapPeer, 'block' | 'have'>;
  /** Who said that it has the block, and was not asked for it yet. */
  holders: Set<BitswapPeer>;
  /** Who was asked for the block and has not answered. */
  pendingAt: { peer: BitswapPeer; sinceMs: number } | undefined;
}

/**
 * Bitswap 1.2, both sides. A block is asked for from one peer at a time: from one that has served us, and when that has it not, from
 * whichever of the others, asked all at once, says that it has. So a block comes once, however many have it. A want stays with
 * everyone who was asked until it is answered or cancelled: who gets the block later sends it or says so.
 *
 * Helia's own was tried first and given up: it asks every connected peer for every block and takes it from all of
 * them, never cancels, does not resend within five seconds what was cancelled and is wanted again, waits for the
 * slowest peer before it asks any other, and puts all that a peer wants into one message.
 */
export class Bitswap {
  readonly #needs: BitswapNeeds;
  readonly #peers = new Map<string, BitswapPeer>();
  readonly #wants = new Map<string, Want>();
  #registration: string | undefined;
  #check: Timer | undefined;

  constructor(needs: BitswapNeeds) {
    this.#needs = needs;
  }

  async start(): Promise<void> {
    const { host } = this.#needs;
    const options = { maxInboundStreams: INBOUND_STREAMS_MAX, maxOutboundStreams: INBOUND_STREAMS_MAX };
    await host.handle(BITSWAP_PROTOCOL, (stream, connection) => this.#onStream(stream, connection), options);
    this.#registration = await host.register(BITSWAP_PROTOCOL, { onConnect: (peer) => this.#onConnect(peer) });
    // Not the registration's: a peer that sends before it is identified is known here, too.
    host.addEventListener('peer:disconnect', this.#onDisconnect);
    this.#checkLater();
  }

  async stop(): Promise<void> {
    this.#check?.cancel();
    if (this.#registration !== undefined) this.#needs.host.unregister(this.#registration);
    this.#needs.host.removeEventListener('peer:disconnect', this.#onDisconnect);
    await this.#needs.host.unhandle(BITSWAP_PROTOCOL);
    const peers = [...this.#peers.values()];
    this.#peers.clear();
    await Promise.all(peers.map((peer) => peer.close()));
  }

  /** Waits until the block has come, from a peer or through `have`. Rejects by abort only. */
  async want(cid: CID, options: CallOptions): Promise<Uint8Array> {
    options.signal.throwIfAborted();
    const key = byteString(cid.multihash.bytes);
    const want = this.#wants.get(key) ?? this.#begin(key, cid);
    want.users++;
    try {
      return await raceSignal(want.got.promise, options.signal);
    } finally {
      want.users--;
      if (want.users === 0) this.#end(want);
    }
  }

  /** The block has come into the store. */
  have(cid: CID, bytes: Uint8Array): void {
    const want = this.#wants.get(byteString(cid.multihash.bytes));
    if (want !== undefined) this.#resolve(want, bytes, undefined);
    for (const peer of this.#peers.values()) peer.came(cid);
  }

  get wants(): number {
    return this.#wants.size;
  }

  get peers(): number {
    return this.#peers.size;
  }

  /** Asks everyone for everything again. */
  reask(): void {
    for (const want of this.#wants.values()) {
      want.asked.clear();
      want.holders.clear();
      this.#settle(want);
      this.#askAll(want);
    }
  }

  #begin(key: string, cid: CID): Want {
    const want: Want = {
      key,
      cid,
      users: 0,
      got: Promise.withResolvers(),
      asked: new Map(),
      holders: new Set(),
      pendingAt: undefined,
    };
    this.#wants.set(key, want);
    const likely = this.#bestOf([...this.#peers.values()].filter((peer) => peer.usefulness >= 1));
    if (likely === undefined) this.#askAll(want);
    else this.#askForBlock(want, likely);
    return want;
  }

  #end(want: Want): void {
    if (this.#wants.get(want.key) !== want) return;
    this.#wants.delete(want.key);
    this.#settle(want);
    for (const peer of want.asked.keys()) this.#cancel(want, peer);
  }

  #resolve(want: Want, bytes: Uint8Array, from: BitswapPeer | undefined): void {
    // Who has sent it knows that it is done.
    if (from !== undefined) want.asked.delete(from);
    this.#end(want);
    want.got.resolve(bytes);
  }

  /** One is asked for the block, if none is yet; all others whether they have it. */
  #askAll(want: Want): void {
    const rest = [...this.#peers.values()].filter((peer) => !want.asked.has(peer));
    const first = want.pendingAt === undefined ? this.#bestOf(rest) : undefined;
    if (first !== undefined) this.#askForBlock(want, first);
    for (const peer of rest) if (peer !== first) this.#tell(want, peer, 'have');
  }

  #askForBlock(want: Want, peer: BitswapPeer): void {
    want.holders.delete(peer);
    want.pendingAt = { peer, sinceMs: this.#needs.clock.monotonicMs() };
    peer.outstanding++;
    this.#tell(want, peer, 'block');
  }

  /** Nobody is waited for with this want any more. */
  #settle(want: Want): void {
    if (want.pendingAt !== undefined) want.pendingAt.peer.outstanding--;
    want.pendingAt = undefined;
  }

  #tell(want: Want, peer: BitswapPeer, kind: 'block' | 'have'): void {
    want.asked.set(peer, kind);
    peer.tell(want.key, { cid: want.cid.bytes, kind, sendDontHave: true });
  }

  #cancel(want: Want, peer: BitswapPeer): void {
    peer.tell(want.key, { cid: want.cid.bytes, kind: 'cancel', sendDontHave: false });
  }

  /** The peer will not send it now: on to who says that it has it, or to everyone who was not asked. */
  #passOn(want: Want): void {
    this.#settle(want);
    const holder = this.#bestOf([...want.holders]);
    if (holder !== undefined) this.#askForBlock(want, holder);
    else this.#askAll(want);
  }

  /** The one that has left the least unanswered, and of those the one that is asked for the least. */
  #bestOf(peers: readonly BitswapPeer[]): BitswapPeer | undefined {
    const isBetter = (a: BitswapPeer, b: BitswapPeer) =>
      a.unanswered === b.unanswered ? a.outstanding < b.outstanding : a.unanswered < b.unanswered;
    let best: BitswapPeer | undefined;
    for (const peer of peers) if (best === undefined || isBetter(peer, best)) best = peer;
    return best;
  }

  #onMessage(peer: BitswapPeer, message: BitswapMessage): void {
    for (const { prefix, data } of message.blocks) this.#onBlock(peer, prefix, data);
    for (const { cid, has } of message.presences) this.#onPresence(peer, CID.decode(cid), has);
    peer.receive(message);
  }

  /** A block is told by its hash alone: what nobody wants, or what hashes to something else, is passed over. */
  #onBlock(peer: BitswapPeer, prefix: Uint8Array, data: Uint8Array): void {
    const want = this.#wantOf(prefix, data);
    const { blocksReceived, receivedBytes } = this.#needs.metrics;
    const use = want === undefined ? 'unwanted' : 'wanted';
    blocksReceived.add(1, { use });
    receivedBytes.add(data.length, { use });
    if (want === undefined) return;
    peer.usefulness++;
    peer.unanswered = 0;
    this.#resolve(want, data, peer);
  }

  #wantOf(prefix: Uint8Array, data: Uint8Array): Want | undefined {
    // Hashing is what a stranger could keep us busy with.
    if (this.#wants.size === 0) return undefined;
    const multihash = hashers.get(hashCodeOf(prefix))?.digest(data);
    if (multihash === undefined || multihash instanceof Promise) return undefined;
    return this.#wants.get(byteString(multihash.bytes));
  }

  #onPresence(peer: BitswapPeer, cid: CID, has: boolean): void {
    const want = this.#wants.get(byteString(cid.multihash.bytes));
    if (want === undefined || !want.asked.has(peer)) return;
    if (!has) {
      peer.usefulness = Math.floor(peer.usefulness / 2);
      want.holders.delete(peer);
      if (want.pendingAt?.peer === peer) this.#passOn(want);
    } else if (want.pendingAt === undefined) this.#askForBlock(want, peer);
    else if (want.pendingAt.peer !== peer) want.holders.add(peer);
  }

  #onConnect(peerId: PeerId): void {
    const peer = this.#peer(peerId);
    for (const want of this.#wants.values()) {
      if (want.asked.has(peer)) continue;
      if (want.pendingAt === undefined) this.#askForBlock(want, peer);
      else this.#tell(want, peer, 'have');
    }
  }

  readonly #onDisconnect = (event: CustomEvent<PeerId>): void => {
    const key = event.detail.toString();
    const peer = this.#peers.get(key);
    if (peer === undefined) return;
    this.#peers.delete(key);
    for (const want of this.#wants.values()) want.asked.delete(peer);
    this.#forget(peer);
    peer.close().catch((cause) => this.#needs.logger.debug('bitswap peer not closed', { cause }));
  };

  #peer(peerId: PeerId): BitswapPeer {
    const known = this.#peers.get(peerId.toString());
    if (known !== undefined) return known;
    const peer: BitswapPeer = new BitswapPeer({
      link: new PeerLink(peerId, this.#needs),
      blocks: this.#needs.blocks,
      metrics: this.#needs.metrics,
      onFailure: (cause) => {
        this.#needs.metrics.sendFailures.add(1);
        this.#needs.logger.debug('bitswap message not sent', { peerId: peerId.toString(), cause });
        this.#forget(peer);
      },
    });
    this.#peers.set(peerId.toString(), peer);
    return peer;
  }

  /** What was asked of it is asked elsewhere. It itself is asked again when it connects again, or with `reask`. */
  #forget(peer: BitswapPeer): void {
    peer.usefulness = 0;
    for (const want of this.#wants.values()) {
      want.holders.delete(peer);
      if (want.pendingAt?.peer === peer) this.#passOn(want);
    }
  }

  #onStream(stream: Stream, connection: Connection): void {
    const frames = new Frames(MESSAGE_BYTES_MAX);
    const peer = this.#peer(connection.remotePeer);
    let unfinishedBytes = 0;
    const noteUnfinished = (bytes: number) => {
      peer.unfinishedBytes += bytes - unfinishedBytes;
      unfinishedBytes = bytes;
    };
    const onPiece = (event: { data: { subarray(): Uint8Array } }) => {
      peer.lastHeardMs = this.#needs.clock.monotonicMs();
      try {
        for (const frame of frames.push(event.data.subarray())) this.#onMessage(peer, decodeMessage(frame));
        noteUnfinished(frames.unfinishedBytes);
        if (peer.unfinishedBytes > UNFINISHED_BYTES_MAX) throw new UnfinishedError();
      } catch (cause) {
        stream.removeEventListener('message', onPiece);
        this.#needs.metrics.refused.add(1, { reason: refusalOf(cause) });
        this.#needs.logger.debug('bitswap stream reset', { peerId: connection.remotePeer.toString(), cause });
        stream.abort(cause as Error);
      }
    };
    stream.addEventListener('message', onPiece);
    stream.addEventListener('close', () => noteUnfinished(0));
    stream.addEventListener('remoteCloseWrite', () => {
      stream.close().catch((cause) => stream.abort(cause));
    });
  }

  #checkLater(): void {
    this.#check = this.#needs.timers.after(ANSWER_CHECK_MS, () => {
      const nowMs = this.#needs.clock.monotonicMs();
      for (const want of this.#wants.values()) this.#checkAnswer(want, nowMs);
      this.#checkLater();
    });
  }

  #checkAnswer(want: Want, nowMs: number): void {
    if (want.pendingAt === undefined) return;
    const { peer, sinceMs } = want.pendingAt;
    const isSilent = nowMs - Math.max(sinceMs, peer.lastHeardMs) >= ANSWER_TIMEOUT_MS;
    if (!isSilent && nowMs - sinceMs < ANSWER_PATIENCE_MS) return;
    peer.unanswered++;
    peer.usefulness = Math.floor(peer.usefulness / 2);
    this.#needs.metrics.answersLate.add(1);
    this.#passOn(want);
  }
}

class UnfinishedError extends RangeError {
  override readonly message = `more than ${UNFINISHED_BYTES_MAX} bytes of messages that are not complete`;
}

function refusalOf(cause: unknown): string {
  if (cause instanceof UnfinishedError) return 'buffer';
  return cause instanceof OversizedError ? 'oversized' : 'malformed';
}

/** The hash function's code in a prefix: version, codec, function, length, each a varint. */
function hashCodeOf(prefix: Uint8Array): number {
  let at = 0;
  const next = () => {
    let value = 0;
    for (let shift = 1; at < prefix.length; shift *= 128) {
      const byte = prefix[at++] as number;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  next();
  next();
  return next();
}
