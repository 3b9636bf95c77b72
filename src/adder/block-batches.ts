import type { Block, CallOptions } from '../ipfs/connector.ts';
import { BATCH_BLOCKS_MAX, BATCH_BYTES_MAX, BATCHES_IN_FLIGHT_MAX } from './constants.ts';

/** Who takes the blocks: a `Connector` does, or all peers that are to store them. When `putBlocks` resolves, they are on the disk. */
export interface BlockSink {
  putBlocks(blocks: readonly Block[], options: CallOptions): Promise<void>;
}

/**
 * Collects blocks into batches, so that they share flushes. `put` waits while too many batches are on their way; a batch that
 * failed comes out of the next `put` or `flush`.
 */
export class BlockBatches {
  readonly #sink: BlockSink;
  readonly #options: CallOptions;
  readonly #inFlight = new Set<Promise<void>>();
  #blocks: Block[] = [];
  #bytes = 0;
  #failure: { cause: unknown } | undefined;

  constructor(sink: BlockSink, options: CallOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  async put(block: Block): Promise<void> {
    this.#throwIfFailed();
    this.#blocks.push(block);
    this.#bytes += block.bytes.length;
    if (this.#bytes >= BATCH_BYTES_MAX || this.#blocks.length >= BATCH_BLOCKS_MAX) this.#send();
    while (this.#inFlight.size >= BATCHES_IN_FLIGHT_MAX) await Promise.race(this.#inFlight);
    this.#throwIfFailed();
  }

  /** Resolves when everything put before is on the disk. */
  async flush(): Promise<void> {
    this.#send();
    await this.settled();
    this.#throwIfFailed();
  }

  /** Resolves when nothing is on its way any more, be it done or failed. */
  async settled(): Promise<void> {
    await Promise.all(this.#inFlight);
  }

  #send(): void {
    if (this.#blocks.length === 0) return;
    const sending = this.#sink
      .putBlocks(this.#blocks, this.#options)
      .catch((cause) => {
        this.#failure ??= { cause };
      })
      .finally(() => this.#inFlight.delete(sending));
    this.#inFlight.add(sending);
    this.#blocks = [];
    this.#bytes = 0;
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.cause;
  }
}
