import type { CID } from 'multiformats/cid';
import { mergeSignals, type ScopedSignal } from '../../runtime/abort.ts';
import type { Clock, Timers } from '../../runtime/clock.ts';
import { type CallOptions, ConnectorError, type PinCallOptions, type Wish } from '../connector.ts';
import { WANTS_MAX, WANTS_PER_PIN_MAX } from '../constants.ts';
import type { DigestSet } from '../dag/digest-set.ts';
import { walkDag } from '../dag/walk.ts';
import { type StallWatch, stallWatch } from '../stall-watch.ts';
import { BlockLoader } from './block-loader.ts';
import type { BlockStore } from './block-store.ts';
import type { Exchange } from './exchange.ts';

export interface DagFetcherNeeds {
  blocks: BlockStore;
  exchange: Exchange;
  clock: Clock;
  timers: Timers;
}

type Shape = Pick<Wish, 'mode' | 'sources'>;

/**
 * Makes DAGs complete on this disk. Whether one is, is told by walking all of it, each time: that an earlier
 * walk was there says nothing, it may have been cut short.
 */
export class DagFetcher {
  readonly loader: BlockLoader;
  readonly #needs: DagFetcherNeeds;
  #fetching = 0;

  constructor(needs: DagFetcherNeeds) {
    this.#needs = needs;
    this.loader = new BlockLoader(needs);
  }

  /**
   * Resolves when every block that the wish covers is on the disk; `visited` has them then. Rejects with
   * ConnectorError or by abort.
   */
  async complete(root: CID, wish: Shape, visited: DigestSet, options: PinCallOptions): Promise<void> {
    this.#fetching++;
    try {
      await new Fetch(root, wish, visited, options, this).run();
    } finally {
      this.#fetching--;
    }
  }

  get needs(): DagFetcherNeeds {
    return this.#needs;
  }

  wantsPerPin(): number {
    return Math.max(1, Math.min(WANTS_PER_PIN_MAX, Math.floor(WANTS_MAX / this.#fetching)));
  }
}

/** One call of `complete`. */
class Fetch {
  readonly #root: CID;
  readonly #wish: Shape;
  readonly #visited: DigestSet;
  readonly #options: PinCallOptions;
  readonly #fetcher: DagFetcher;
  readonly #scope: ScopedSignal;
  readonly #watch: StallWatch;
  #present = 0;
  #fetched = 0;

  constructor(root: CID, wish: Shape, visited: DigestSet, options: PinCallOptions, fetcher: DagFetcher) {
    this.#root = root;
    this.#wish = wish;
    this.#visited = visited;
    this.#options = options;
    this.#fetcher = fetcher;
    this.#scope = mergeSignals(options.signal);
    this.#watch = stallWatch(fetcher.needs, {
      stallTimeoutMs: options.stallTimeoutMs,
      onQuiet: () => this.#tryAgain(),
      onStalled: () => this.#scope.abort(this.#stallError()),
    });
  }

  async run(): Promise<void> {
    try {
      // Connecting goes beside the walk: what is here already need not wait for a source that does not answer.
      this.#connect();
      if (this.#wish.mode === 'direct') await this.#visitRootOnly();
      else await walkDag(this.#root, this.#walkNeeds());
      await this.#fetcher.needs.blocks.settled();
    } finally {
      this.#watch.stop();
      this.#scope[Symbol.dispose]();
    }
  }

  #walkNeeds() {
    return {
      present: (cid: CID, options: CallOptions) => this.#ensure(cid, options),
      load: (cid: CID, options: CallOptions) => this.#load(cid, options),
      concurrency: () => this.#fetcher.wantsPerPin(),
      visited: this.#visited,
      signal: this.#scope.signal,
      onBlock: () => this.#progress(),
    };
  }

  async #visitRootOnly(): Promise<void> {
    this.#visited.add(this.#root.multihash.bytes);
    await this.#ensure(this.#root, { signal: this.#scope.signal });
    this.#progress();
  }

  async #ensure(cid: CID, options: CallOptions): Promise<void> {
    if (!(await this.#fetcher.loader.has(cid))) await this.#fetch(cid, options);
  }

  async #load(cid: CID, options: CallOptions): Promise<Uint8Array> {
    return (await this.#fetcher.loader.local(cid)) ?? this.#fetch(cid, options);
  }

  async #fetch(cid: CID, options: CallOptions): Promise<Uint8Array> {
    const bytes = await this.#fetcher.loader.fetch(cid, options);
    this.#fetched++;
    return bytes;
  }

  #progress(): void {
    this.#present++;
    this.#watch.progress();
    this.#options.onProgress?.(this.#present);
  }

  #connect(): void {
    // Rejects only by abort, and then the walk tells of it.
    this.#fetcher.needs.exchange.connect(this.#wish.sources, { signal: this.#scope.signal }).catch(() => {});
  }

  /** Sources may have come back, and wants may have been lost on the way. */
  #tryAgain(): void {
    this.#connect();
    this.#fetcher.needs.exchange.reask();
  }

  #stallError(): ConnectorError {
    const waited = `within ${this.#options.stallTimeoutMs} ms`;
    if (this.#fetched > 0) {
      return new ConnectorError('PIN_STALLED', `${this.#present} blocks are here, and no further one came ${waited}`);
    }
    return new ConnectorError(
      'NO_PROVIDER',
      `no connected IPFS node sent a block ${waited}; here were ${this.#present}`,
    );
  }
}
