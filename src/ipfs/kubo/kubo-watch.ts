import { deadlineSignal, mergeSignals } from '../../runtime/abort.ts';
import { sleep, type Timer, type Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { ConnectorError, type IpfsNodeId } from '../connector.ts';
import { FREE_BYTES_MIN } from '../constants.ts';
import { freeDiskBytes, nodeId } from './answers.ts';
import type { Condition } from './condition.ts';
import {
  ABSENT_PROBE_MS,
  DOWN_PROBE_MS,
  FREE_BYTES_ENOUGH,
  UNASKED_END_MS,
  UNASKED_ENDS_MAX,
  WATCH_INTERVAL_MS,
  WATCH_TIMEOUT_MS,
} from './constants.ts';
import type { IdentityFile } from './identity-file.ts';
import type { KuboRpc } from './rpc.ts';
import { RpcError } from './rpc-error.ts';

export interface KuboWatchNeeds {
  rpc: KuboRpc;
  condition: Condition;
  identity: IdentityFile;
  timers: Timers;
  logger: Logger;
}

/**
 * Asks the node who it is: now and then, after every call that it did not answer, when it ended a connection unasked, and before
 * a call when a connection has ended since: another node may have come up at its address. It alone says whether the node is there.
 */
export class KuboWatch {
  readonly #needs: KuboWatchNeeds;
  readonly #intervalMs: number;
  readonly #stopping = new AbortController();
  #wake = () => {};
  #known: string | undefined;
  #isVerified = false;
  /** Looked at within the last UNASKED_END_MS, each with a timer. */
  readonly #unaskedEnds = new Set<Timer>();
  #looking: Promise<void> | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(init: { watchIntervalMs?: number | undefined }, needs: KuboWatchNeeds) {
    this.#needs = needs;
    this.#intervalMs = init.watchIntervalMs ?? WATCH_INTERVAL_MS;
    needs.condition.onChange(() => this.#wake());
  }

  /** Resolves after the first look; a node that is not there is no failure. */
  async start(): Promise<void> {
    this.#known = await this.#needs.identity.load();
    await this.look();
    this.#running = this.#run().catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the IPFS connector is stopping'));
    for (const timer of this.#unaskedEnds) timer.cancel();
    await this.#running;
    await this.#looking;
  }

  /**
   * A connection that the node ended unasked is the trace of a restart: looked at now it is still away, and a node that was
   * away is audited. It may restart again soon, so a few are looked at in any second; a proxy that ends every connection costs no more.
   */
  connectionEnded({ unasked }: { unasked: boolean }): void {
    this.#isVerified = false;
    const isEnough = this.#looking !== undefined || this.#unaskedEnds.size >= UNASKED_ENDS_MAX;
    if (!unasked || isEnough || this.#stopping.signal.aborted) return;
    const timer = this.#needs.timers.after(UNASKED_END_MS, () => this.#unaskedEnds.delete(timer));
    this.#unaskedEnds.add(timer);
    void this.look();
  }

  /** Rejects with UNREACHABLE when the node cannot be asked, or is not the one of this peer. */
  async verified(signal: AbortSignal): Promise<void> {
    if (!this.#isVerified) await this.look();
    signal.throwIfAborted();
    this.#needs.condition.requireReachable();
  }

  /** The same, after a node that restarts has come back, or is down for good. */
  async ready(signal: AbortSignal): Promise<void> {
    const { condition } = this.#needs;
    do {
      await condition.settled(signal);
      if (!this.#isVerified) await this.look();
      signal.throwIfAborted();
    } while (condition.isRestarting);
    condition.requireReachable();
  }

  /** Several at once are one. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** Who answers, when it is the right one. Rejects with UNREACHABLE otherwise. */
  async id(signal: AbortSignal): Promise<IpfsNodeId> {
    const { rpc, condition } = this.#needs;
    const id = nodeId(await rpc.one({ command: 'id', signal }));
    condition.answers(await this.#identityProblem(id.peerId));
    condition.requireReachable();
    this.#isVerified = true;
    return id;
  }

  async #look(): Promise<void> {
    const { timers, condition } = this.#needs;
    using scope = deadlineSignal(timers, WATCH_TIMEOUT_MS, this.#stopping.signal);
    try {
      await this.id(scope.signal);
      await this.#lookAtSpace(scope.signal);
    } catch (cause) {
      if (this.#stopping.signal.aborted || cause instanceof ConnectorError) return;
      const detail = (cause as Error).message;
      if (cause instanceof RpcError && cause.kind === 'unauthorized') condition.unauthorized(detail);
      else if (cause instanceof RpcError) condition.absent(detail);
      else condition.absent(`it did not answer within ${WATCH_TIMEOUT_MS} ms`);
    }
  }

  async #identityProblem(peerId: string): Promise<string | undefined> {
    const { identity, logger } = this.#needs;
    if (this.#known === peerId) return undefined;
    if (this.#known !== undefined) {
      return (
        `the node at its address is ${peerId}, and the pins of this peer are on ${this.#known}; put that one back, or ` +
        `stop this peer and remove ${identity.path}: then everything is pinned anew on ${peerId}`
      );
    }
    this.#known = peerId;
    logger.info('the pins of this peer are on this IPFS node from now on', { peerId });
    await identity.save(peerId).catch((error) => logger.error('who the IPFS node is could not be noted', { error }));
    return undefined;
  }

  /** On its disk; infinite where it is not told: a proxy or Kubo's own list of paths may forbid to ask. */
  async freeDiskBytes(signal: AbortSignal): Promise<number> {
    const { rpc, logger } = this.#needs;
    try {
      return freeDiskBytes(await rpc.one({ command: 'diag/sys', signal }));
    } catch (error) {
      if (!(error instanceof RpcError) || error.kind === 'absent') throw error;
      logger.debug('how much space the disk of the IPFS node has is not known', { error });
      return Number.POSITIVE_INFINITY;
    }
  }

  /** By the disk alone: what `StorageMax` says is only advice to Kubo, which goes on storing beyond it. */
  async #lookAtSpace(signal: AbortSignal): Promise<void> {
    const { condition } = this.#needs;
    const free = await this.freeDiskBytes(signal);
    if (free < FREE_BYTES_MIN) condition.full(`only ${Math.floor(free / 2 ** 20)} MiB are free on its disk`);
    else if (free >= FREE_BYTES_ENOUGH) condition.full(undefined);
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) if (await this.#isTime()) await this.look();
  }

  /** Resolves with false when the state has changed before: then another interval holds. */
  async #isTime(): Promise<boolean> {
    const { condition, timers } = this.#needs;
    using scope = mergeSignals(this.#stopping.signal);
    this.#wake = () => scope.abort(new Error('another interval holds'));
    const intervalMs = intervals[condition.current.name] ?? this.#intervalMs;
    try {
      await sleep(timers, intervalMs, scope.signal);
      return true;
    } catch {
      return false;
    }
  }
}

const intervals: Record<string, number> = {
  restarting: ABSENT_PROBE_MS,
  down: DOWN_PROBE_MS,
  unauthorized: DOWN_PROBE_MS,
  other_identity: DOWN_PROBE_MS,
};
