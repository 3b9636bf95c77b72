import type { Block, CallOptions } from '../../ipfs/connector.ts';
import { PinfoldError } from '../../model/errors.ts';

/** A peer that the blocks of one add go to. */
export interface Destination {
  readonly peerId: string;
  /** Resolves when the blocks are on its disk, with what had to be sent. Rejects when it gets no more of this add. */
  put(blocks: readonly Block[], options: CallOptions): Promise<Sent>;
  /** Resolves when it knows that pins are about to be committed, and keeps the blocks for them whatever becomes of this peer. */
  prepare(options: CallOptions): Promise<void>;
  /** The pins that were committed, CIDs in version 1: the blocks are kept until its node is done with them. Waits for nothing. */
  pinned(cids: readonly Uint8Array[]): void;
  /** Lets go of the blocks. After `pinned` it does nothing. */
  release(): void;
}

export interface Sent {
  blocks: number;
  bytes: number;
}

export interface DestinationProgress {
  peerId: string;
  /** On its disk, those included that it had before. */
  blocks: number;
  bytes: number;
  sentBlocks: number;
  sentBytes: number;
  /** Why it gets no more. */
  error: PinfoldError | undefined;
}

export interface DestinationsNeeds {
  /** The peers that are to store what begins with this block, and how many of them must. Throws NOT_ENOUGH_PEERS. */
  choose(first: Uint8Array): { peerIds: readonly string[]; min: number };
  open(peerId: string): Destination;
  onFailure(peerId: string, error: PinfoldError): void;
}

/**
 * Hands the blocks of one add to all peers that are to store it, each at its own pace, the next batches when the slowest has room. One that
 * fails gets no more, and the add goes on as long as enough are left. The peers are chosen by the first block, so that the same content tends
 * to go to the same peers: a retry finds there what came before.
 */
export class Destinations {
  readonly #needs: DestinationsNeeds;
  readonly #live = new Map<string, Destination>();
  readonly #progress = new Map<string, DestinationProgress>();
  #min = 0;
  #isChosen = false;

  constructor(needs: DestinationsNeeds) {
    this.#needs = needs;
  }

  /** Peers that have all blocks so far. */
  get peerIds(): string[] {
    return [...this.#live.keys()];
  }

  get progress(): DestinationProgress[] {
    return [...this.#progress.values()];
  }

  /** Resolves when the blocks are on the disks of all that are left. Rejects when these are too few. */
  async putBlocks(blocks: readonly Block[], options: CallOptions): Promise<void> {
    if (!this.#isChosen) this.#choose((blocks[0] as Block).cid);
    const bytes = blocks.reduce((sum, block) => sum + block.bytes.length, 0);
    await this.#each(options, async (destination, progress) => {
      const sent = await destination.put(blocks, options);
      progress.blocks += blocks.length;
      progress.bytes += bytes;
      progress.sentBlocks += sent.blocks;
      progress.sentBytes += sent.bytes;
    });
  }

  /** To be called when all blocks are there and pins are about to be committed. */
  async prepare(options: CallOptions): Promise<void> {
    await this.#each(options, (destination) => destination.prepare(options));
  }

  /** The end of the add: what was committed (nothing: an add that failed), CIDs in version 1. */
  end(pinned: readonly Uint8Array[]): void {
    for (const destination of this.#live.values()) {
      if (pinned.length > 0) destination.pinned(pinned);
      else destination.release();
    }
  }

  #choose(first: Uint8Array): void {
    this.#isChosen = true;
    const { peerIds, min } = this.#needs.choose(first);
    this.#min = min;
    for (const peerId of peerIds) {
      this.#live.set(peerId, this.#needs.open(peerId));
      const zero = { blocks: 0, bytes: 0, sentBlocks: 0, sentBytes: 0 };
      this.#progress.set(peerId, { peerId, ...zero, error: undefined });
    }
  }

  async #each(
    { signal }: CallOptions,
    work: (destination: Destination, progress: DestinationProgress) => Promise<void>,
  ): Promise<void> {
    await Promise.all(
      [...this.#live].map(async ([peerId, destination]) => {
        const progress = this.#progress.get(peerId) as DestinationProgress;
        try {
          await work(destination, progress);
        } catch (cause) {
          if (!signal.aborted) this.#fail(destination, progress, cause);
        }
      }),
    );
    signal.throwIfAborted();
    if (this.#live.size < this.#min) throw this.#tooFew();
  }

  #fail(destination: Destination, progress: DestinationProgress, cause: unknown): void {
    const { peerId } = destination;
    if (!this.#live.delete(peerId)) return;
    progress.error = cause instanceof PinfoldError ? cause : new PinfoldError('INTERNAL', String(cause), { cause });
    this.#needs.onFailure(peerId, progress.error);
    destination.release();
  }

  /** Of one that was needed its own error; otherwise all of them, under the code that they share. */
  #tooFew(): PinfoldError {
    const failed = this.progress.filter(({ error }) => error !== undefined);
    const [first] = failed;
    const code = first?.error?.code ?? 'INTERNAL';
    const reasons = failed.map(({ peerId, error }) => `${peerId}: ${error?.message}`).join('; ');
    const shared = failed.every(({ error }) => error?.code === code) ? code : 'NOT_ENOUGH_PEERS';
    const left = `${this.#live.size} of ${this.#progress.size} peers have the content so far, ${this.#min} are needed`;
    return new PinfoldError(shared, `${left}; nothing was pinned (${reasons})`);
  }
}
