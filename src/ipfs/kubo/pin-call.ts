import type { CID } from 'multiformats/cid';
import { formatCid } from '../../model/cid.ts';
import { deadlineSignal, mergeSignals, type ScopedSignal } from '../../runtime/abort.ts';
import { type Clock, sleep, type Timers } from '../../runtime/clock.ts';
import { ConnectorError, type PinCallOptions, type Wish } from '../connector.ts';
import { type StallWatch, stallWatch } from '../stall-watch.ts';
import { pinAddLine, updatedPins } from './answers.ts';
import type { Condition } from './condition.ts';
import {
  FOREIGN_COLLECTION_MS,
  LOCK_PROBE_INTERVAL_MS,
  LOCK_PROBE_TIMEOUT_MS,
  STALL_TIMEOUT_MIN_MS,
} from './constants.ts';
import type { ReceivedBlocks } from './received-blocks.ts';
import type { KuboRpc } from './rpc.ts';
import { RpcError } from './rpc-error.ts';

export interface PinCallNeeds {
  rpc: KuboRpc;
  condition: Condition;
  received: ReceivedBlocks;
  /** Best effort; rejects only by abort. */
  connect: (addresses: readonly string[], options: { signal: AbortSignal }) => Promise<void>;
  /** Has the condition looked at anew. */
  look: () => Promise<void>;
  clock: Clock;
  timers: Timers;
}

/** A CID that nobody pins: asking to unpin it does nothing, and needs the pin lock. Its content, "pinfold", is in it. */
const nobodysCid = 'bafkqab3qnfxgm33mmq';

export interface PinCallInit extends Pick<Wish, 'mode' | 'sources'> {
  cid: CID;
  /** To build on, if the node holds it recursively. For a recursive wish of which it has no record. */
  updates: CID | undefined;
}

/** One `pin/add`, or a `pin/update` that does as well, until its last word or a stall. */
export class PinCall {
  readonly #cid: CID;
  readonly #wish: PinCallInit;
  readonly #options: PinCallOptions;
  readonly #needs: PinCallNeeds;
  readonly #scope: ScopedSignal;
  readonly #watch: StallWatch;
  readonly #stallTimeoutMs: number;
  /** By the node as a whole, when this began. */
  readonly #receivedBefore: Promise<number | undefined>;
  #blocks = 0;

  constructor(wish: PinCallInit, options: PinCallOptions, needs: PinCallNeeds) {
    this.#cid = wish.cid;
    this.#wish = wish;
    this.#options = options;
    this.#needs = needs;
    this.#receivedBefore = needs.received.recent();
    this.#scope = mergeSignals(options.signal);
    this.#stallTimeoutMs = Math.max(options.stallTimeoutMs, STALL_TIMEOUT_MIN_MS);
    this.#watch = stallWatch(needs, {
      stallTimeoutMs: this.#stallTimeoutMs,
      onQuiet: () => this.#onQuiet(),
      onStalled: () => void this.#stalled(),
    });
  }

  /** Resolves when Kubo has said that it is pinned, and that was the end of its answer. */
  async run(): Promise<void> {
    try {
      // Kubo asks whom it is connected to at once: what has to be dialled is heard of when it is.
      this.#connect();
      if (!(await this.#updated())) await this.#pin();
    } finally {
      this.#watch.stop();
      this.#scope[Symbol.dispose]();
    }
  }

  /**
   * By the record of what it replaces, of which Kubo does not walk again what is in both. It tells no progress, and cannot be told
   * from a stall: so it has half of the time of one, and the rest is done by `pin/add`, as after any other failure.
   */
  async #updated(): Promise<boolean> {
    const { updates } = this.#wish;
    if (updates === undefined) return false;
    const text = formatCid(this.#cid.bytes);
    const query: [string, string][] = [
      ['arg', formatCid(updates.bytes)],
      ['arg', text],
      ['unpin', 'false'],
    ];
    using scope = deadlineSignal(this.#needs.timers, this.#stallTimeoutMs / 2, this.#scope.signal);
    try {
      const call = { command: 'pin/update', query, answerTimeoutMs: this.#stallTimeoutMs, signal: scope.signal };
      const answer = await this.#needs.rpc.one(call);
      return updatedPins(answer).includes(text);
    } catch (cause) {
      this.#scope.signal.throwIfAborted();
      if (cause instanceof RpcError && cause.kind === 'absent') throw cause;
      this.#watch.progress();
      return false;
    }
  }

  async #pin(): Promise<void> {
    const text = formatCid(this.#cid.bytes);
    const { signal } = this.#scope;
    const query: [string, string][] = [
      ['arg', text],
      ['recursive', `${this.#wish.mode === 'recursive'}`],
      ['progress', 'true'],
    ];
    let isPinned = false;
    for await (const line of this.#needs.rpc.lines({ command: 'pin/add', query, signal })) {
      const said = pinAddLine(line);
      if ('pinned' in said) isPinned = said.pinned.includes(text);
      else this.#progress(said.blocks);
    }
    if (!isPinned) throw new RpcError('garbled', 'the IPFS node ended its answer without saying that it has pinned');
    // Of a direct pin it tells no progress.
    if (this.#wish.mode === 'direct') this.#progress(1);
  }

  #progress(blocks: number): void {
    if (blocks <= this.#blocks) return;
    this.#blocks = blocks;
    this.#watch.progress();
    this.#options.onProgress?.(blocks);
  }

  #connect(): void {
    if (this.#wish.sources.length === 0) return;
    this.#needs.connect(this.#wish.sources, { signal: this.#scope.signal }).catch(() => {});
  }

  /**
   * Sources may have come back; or it is nobody's fault but that of a collection, which somebody else began. Once blocks
   * are counted the pin has the lock itself: a collection waits for it then, and must not be waited for.
   */
  #onQuiet(): void {
    this.#connect();
    if (this.#blocks === 0) void this.#waitForLock().catch(() => {});
  }

  async #waitForLock(): Promise<void> {
    const { clock, condition, timers } = this.#needs;
    const sinceMs = clock.monotonicMs();
    let collecting: { over(): void } | undefined;
    try {
      while (!(await this.#isLockFree()) && clock.monotonicMs() - sinceMs < FOREIGN_COLLECTION_MS) {
        collecting ??= condition.collecting();
        this.#watch.progress();
        await sleep(timers, Math.min(LOCK_PROBE_INTERVAL_MS, this.#stallTimeoutMs / 4), this.#scope.signal);
      }
      if (collecting !== undefined) this.#watch.progress();
    } finally {
      collecting?.over();
    }
  }

  /** A collection holds the pin lock alone, pins share it. While one waits for the running pins, new ones wait for it. */
  async #isLockFree(): Promise<boolean> {
    const probeMs = Math.min(LOCK_PROBE_TIMEOUT_MS, this.#stallTimeoutMs / 4);
    using scope = deadlineSignal(this.#needs.timers, probeMs, this.#scope.signal);
    try {
      const query: [string, string][] = [['arg', nobodysCid]];
      await this.#needs.rpc.one({ command: 'pin/rm', query, signal: scope.signal });
      return true;
    } catch (cause) {
      this.#scope.signal.throwIfAborted();
      // "Not pinned", in whatever words: it was asked and has answered.
      return cause instanceof RpcError;
    }
  }

  async #stalled(): Promise<void> {
    const cause = await this.#stallError();
    this.#scope.abort(cause);
  }

  async #stallError(): Promise<ConnectorError> {
    const within = `within ${this.#stallTimeoutMs} ms`;
    // A block that came and could not be written is dropped by Kubo without a word.
    await this.#needs.look();
    if (this.#needs.condition.isFull) {
      return new ConnectorError(
        'DISK_FULL',
        `no further block was stored ${within}: ${this.#needs.condition.current.detail}`,
      );
    }
    if (this.#blocks > 0 && (await this.#hasReceived())) {
      return new ConnectorError('PIN_STALLED', `${this.#blocks} blocks are here, and no further one came ${within}`);
    }
    return new ConnectorError('NO_PROVIDER', `no IPFS node sent a block ${within}; here were ${this.#blocks}`);
  }

  /**
   * Whether a block came in this call: Kubo counts blocks that it found and blocks that it fetched alike. So the node as a whole must
   * have received some, be it for another pin.
   */
  async #hasReceived(): Promise<boolean> {
    const [before, now] = await Promise.all([this.#receivedBefore, this.#needs.received.now()]);
    return before === undefined || now === undefined || now > before;
  }
}
