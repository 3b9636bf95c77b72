import type { CID } from 'multiformats/cid';
import { byteString } from '../../model/bytes.ts';
import type { ContentPath } from '../../model/content-path.ts';
import { deadlineSignal, mergeSignals } from '../../runtime/abort.ts';
import { type Clock, sleep, type Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { MetricsRegister } from '../../runtime/metrics.ts';
import { Calls } from '../calls.ts';
import {
  type Block,
  type CallOptions,
  type Connector,
  ConnectorError,
  type HoldMode,
  type IpfsNodeId,
  type PinCallOptions,
  type PutOptions,
  type Resolved,
  type ResolveOptions,
  type Wish,
} from '../connector.ts';
import { isLeaf } from '../dag/links.ts';
import { forEachLimited } from '../for-each-limited.ts';
import type { NodeStates } from '../node-state.ts';
import { Turns } from '../turns.ts';
import { wishCid } from '../wish-cid.ts';
import type { RpcAddress } from './address.ts';
import { collectedLine, repoSize } from './answers.ts';
import { getBlock, missingBlocks, putCalls, putRequests, type ReadBlock, readBlocks } from './block-calls.ts';
import { CollectionGate } from './collection-gate.ts';
import { Condition } from './condition.ts';
import {
  COLLECTION_SILENCE_MS,
  COMMANDS_MAX,
  DRAIN_TIMEOUT_MS,
  PINS_MAX,
  UNDO_LOOK_AGAIN_MS,
  UNDO_TIMEOUT_MS,
} from './constants.ts';
import { Dialler } from './dialler.ts';
import { connectorError } from './failures.ts';
import { IdentityFile } from './identity-file.ts';
import { KuboWatch } from './kubo-watch.ts';
import { kuboMetrics } from './metrics.ts';
import { PinCall } from './pin-call.ts';
import { forms, type HeldForm, PinForms } from './pin-forms.ts';
import { ReceivedBlocks } from './received-blocks.ts';
import { resolveByKubo } from './resolve.ts';
import { KuboRpc, type RpcTls } from './rpc.ts';
import { RpcError } from './rpc-error.ts';
import { Slots } from './slots.ts';
import { UnheardBlocks } from './unheard-blocks.ts';

export interface KuboInit {
  address: RpcAddress;
  /** `basic:USER:PASSWORD` or `bearer:TOKEN`. */
  auth?: string | undefined;
  tls?: RpcTls | undefined;
  /** Where it is noted which node it is. */
  folder: string;
  /** How long a collection waits for the pins under way. */
  drainTimeoutMs?: number;
  /** How long a node that is gone is taken to restart. */
  restartMs?: number;
  /** How often a node that answers is looked at. */
  watchIntervalMs?: number;
}

export interface KuboNeeds {
  metrics: MetricsRegister;
  clock: Clock;
  timers: Timers;
  logger: Logger;
}

/** A Kubo daemon, driven by its RPC. What it cannot do as the embedded node does is in docs/kubo.md. */
export class KuboConnector implements Connector {
  readonly #needs: KuboNeeds;
  readonly #rpc: KuboRpc;
  readonly #condition: Condition;
  readonly #watch: KuboWatch;
  readonly #forms: PinForms;
  readonly #received: ReceivedBlocks;
  readonly #dialler: Dialler;
  readonly #gate: CollectionGate;
  readonly #turns = new Turns();
  readonly #unheard = new UnheardBlocks();
  readonly #pins = new Slots(PINS_MAX);
  readonly #commands = new Slots(COMMANDS_MAX);
  readonly #calls = new Calls(() => this.#checkUp());
  #isRunning = false;

  /** Throws when a file of `tls` cannot be read, or `auth` has no known form. */
  constructor(init: KuboInit, needs: KuboNeeds) {
    this.#needs = needs;
    this.#condition = new Condition(init, needs);
    const metrics = kuboMetrics(needs.metrics, this.#condition);
    const onConnectionEnd = (end: { unasked: boolean }) => this.#watch.connectionEnded(end);
    this.#rpc = new KuboRpc(init, { ...needs, metrics, onConnectionEnd });
    const shared = { rpc: this.#rpc, condition: this.#condition, ...needs };
    this.#watch = new KuboWatch(init, { ...shared, identity: new IdentityFile(init.folder) });
    this.#forms = new PinForms(this.#rpc);
    this.#received = new ReceivedBlocks(shared);
    this.#dialler = new Dialler(shared);
    this.#gate = new CollectionGate({ drainTimeoutMs: init.drainTimeoutMs ?? DRAIN_TIMEOUT_MS }, needs);
  }

  get states(): NodeStates {
    return this.#condition;
  }

  async start(): Promise<void> {
    await this.#watch.start();
    this.#isRunning = true;
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#calls.stop(new ConnectorError('UNREACHABLE', 'the IPFS connector is stopping'));
    await this.#watch.stop();
    this.#condition.stop();
    this.#rpc.close();
  }

  id(options: CallOptions): Promise<IpfsNodeId> {
    return this.#calls.run(options, (signal) => this.#reported(() => this.#watch.id(signal)));
  }

  async pin(wish: Wish, options: PinCallOptions): Promise<void> {
    const cid = wishCid(wish.cid);
    return this.#whileUp(options, (signal) =>
      this.#turns.run(byteString(cid.bytes), signal, () =>
        this.#pins.run(signal, () =>
          this.#gate.passAgain(signal, ({ signal, holds }) =>
            this.#unheard.fetching(signal, async () => {
              const onProgress = (blocks: number) => {
                holds();
                options.onProgress?.(blocks);
              };
              await this.#watch.verified(signal);
              await this.#reported(() => this.#pin(cid, wish, { ...options, signal, onProgress }));
            }),
          ),
        ),
      ),
    );
  }

  async unpin(bytes: Uint8Array, options: CallOptions): Promise<void> {
    const cid = wishCid(bytes);
    await this.#calls.run(options, (signal) =>
      this.#turns.run(byteString(cid.bytes), signal, () =>
        this.#command({ signal }, (signal) => this.#forms.removeAll(cid, { signal })),
      ),
    );
  }

  pinned(cid: Uint8Array, options: CallOptions): Promise<HoldMode | 'none'> {
    return this.#command(options, (signal) => this.#forms.mode(wishCid(cid), { signal }));
  }

  async *list(options: CallOptions): AsyncGenerator<{ cid: Uint8Array; mode: HoldMode }> {
    yield* this.#stream(options, (signal) => this.#forms.list({ signal }));
  }

  connect(addresses: readonly string[], options: CallOptions): Promise<void> {
    return this.#calls.run(options, (signal) => this.#dialler.connect(addresses, { signal }));
  }

  /**
   * Leaves first, the others one request after the other in their order. Kubo looks for a block and only then listens for it: a
   * walk under way that comes upon a parent may miss the moment at which its children come, so they are there before.
   */
  putBlocks(blocks: readonly Block[], options: PutOptions): Promise<void> {
    return this.#whileUp(options, async (signal) => {
      const read = readBlocks(blocks, options);
      const leaves = [...putRequests(read.filter(({ cid }) => isLeaf(cid)))];
      const parents = [...putRequests(read.filter(({ cid }) => !isLeaf(cid)))];
      const put = (request: readonly ReadBlock[]) => this.#put(request, { signal });
      await this.#gate.pass(signal, async () => {
        await forEachLimited(leaves, 2, put);
        await forEachLimited(parents, 1, put);
      });
    });
  }

  missingBlocks(cids: readonly Uint8Array[], options: CallOptions): Promise<Uint8Array[]> {
    return this.#command(options, (signal) => missingBlocks(this.#rpc, cids, signal));
  }

  getBlock(bytes: Uint8Array, options: CallOptions): Promise<Uint8Array | undefined> {
    return this.#command(options, (signal) => getBlock(this.#rpc, wishCid(bytes), signal));
  }

  /** By Kubo's blocks, so that each is checked and what is missing is named as everywhere; only names are left to Kubo itself. */
  resolve(path: ContentPath, options: ResolveOptions): Promise<Resolved> {
    return this.#whileUp(options, async (signal) => {
      await this.#watch.ready(signal);
      const needs = {
        rpc: this.#rpc,
        local: (cid: CID) => this.getBlock(cid.bytes, { signal }),
        connect: (addresses: readonly string[], options: CallOptions) => this.#dialler.connect(addresses, options),
        ...this.#needs,
      };
      return this.#unheard.fetching(signal, () =>
        this.#reported(() => resolveByKubo(path, { ...options, signal }, needs)),
      );
    });
  }

  protect(): { release(): void } {
    return this.#gate.protect();
  }

  /** Kubo does not tell the sizes of what it removes. */
  async *collectGarbage(options: CallOptions): AsyncGenerator<{ cid: Uint8Array; bytes: number }> {
    this.#checkUp();
    using scope = mergeSignals(options.signal, this.#calls.stopping, this.#condition.down);
    const closed = await this.#gate.close(scope.signal);
    const collecting = this.#condition.collecting();
    const call = {
      command: 'repo/gc',
      answerTimeoutMs: COLLECTION_SILENCE_MS,
      silenceTimeoutMs: COLLECTION_SILENCE_MS,
    };
    try {
      for await (const line of this.#stream(scope, (signal) => this.#rpc.lines({ ...call, signal }))) {
        yield { cid: collectedLine(line), bytes: 0 };
      }
    } finally {
      collecting.over();
      closed.open();
    }
  }

  /** Free is what Kubo's own limit leaves, or the disk if that has less. */
  space(options: CallOptions): Promise<{ usedBytes: number; freeBytes: number }> {
    return this.#command(options, async (signal) => {
      const size = await this.#rpc.one({ command: 'repo/stat', query: [['size-only', 'true']], signal });
      const { usedBytes, mostBytes } = repoSize(size);
      const free = Math.min(mostBytes - usedBytes, await this.#watch.freeDiskBytes(signal));
      return { usedBytes, freeBytes: Math.max(0, free) };
    });
  }

  async #put(request: readonly ReadBlock[], options: CallOptions): Promise<void> {
    this.#condition.requireSpace();
    await this.#unheard.put(request, (call, blocks) =>
      this.#command(options, (signal) => putCalls[call](this.#rpc, blocks, signal)),
    );
  }

  async #pin(cid: CID, wish: Wish, options: PinCallOptions): Promise<void> {
    const { mode, sources } = wish;
    const updates = mode === 'recursive' ? hinted(wish.updates) : undefined;
    const isPlain = mode === 'recursive' && updates === undefined;
    const { mayBeThere } = this.#forms.willBeMade(cid);
    const before = isPlain && !mayBeThere ? [] : await this.#forms.held(cid, options);
    if (before[0]?.mode === mode) return;
    this.#condition.requireSpace();
    try {
      // Kubo pins nothing directly that it has pinned recursively, and puts a recursive pin in place of a direct one itself.
      if (mode === 'direct') for (const { text } of before) await this.#forms.remove(text, options);
      // Kubo would leave a direct record beside the one that it updates.
      const call = { cid, mode, sources, updates: before.length === 0 ? updates : undefined };
      await new PinCall(call, options, { ...this.#needs, ...this.#pinNeeds() }).run();
      options.signal.throwIfAborted();
    } catch (cause) {
      if (!(await this.#isMade(cid, mode, before, options.signal))) throw cause;
    }
    // The pin is made under version 1; what version 0 had before it is no longer asked for.
    const [v1] = forms(cid);
    for (const { text } of before) if (text !== v1) await this.#forms.remove(text, options);
  }

  #pinNeeds() {
    const connect: Connector['connect'] = (addresses, options) => this.#dialler.connect(addresses, options);
    const look = () => this.#watch.look();
    return { rpc: this.#rpc, condition: this.#condition, received: this.#received, connect, look };
  }

  /**
   * What a call that failed has left. Kubo writes the record last, so one that is there is the proof, whatever became of the
   * answer. Otherwise, and after an abort, all is made as it was before: best effort, as the node may be what has failed.
   */
  async #isMade(cid: CID, mode: HoldMode, before: readonly HeldForm[], aborted: AbortSignal): Promise<boolean> {
    using scope = deadlineSignal(this.#needs.timers, UNDO_TIMEOUT_MS);
    const { signal } = scope;
    const isThere = async () => {
      const [v1] = forms(cid);
      const now = await this.#forms.held(cid, { signal });
      if (!aborted.aborted && now.some((form) => form.text === v1 && form.mode === mode)) return true;
      await this.#restore(mode, { now, before }, signal);
      return false;
    };
    try {
      if (await isThere()) return true;
      await sleep(this.#needs.timers, UNDO_LOOK_AGAIN_MS, signal);
      return await isThere();
    } catch (error) {
      this.#needs.logger.debug('what a pin left on the IPFS node is not known, or could not be taken back', { error });
      return false;
    }
  }

  async #restore(mode: HoldMode, { now, before }: Record<'now' | 'before', readonly HeldForm[]>, signal: AbortSignal) {
    const same = (one: HeldForm) => (other: HeldForm) => one.text === other.text && one.mode === other.mode;
    const made = now.filter((form) => form.mode === mode && !before.some(same(form)));
    for (const { text } of made) await this.#forms.remove(text, { signal });
    for (const form of before) {
      if (now.some(same(form))) continue;
      const query: [string, string][] = [
        ['arg', form.text],
        ['recursive', `${form.mode === 'recursive'}`],
        ['offline', 'true'],
      ];
      await this.#rpc.one({ command: 'pin/add', query, signal });
    }
  }

  /** A short command: it waits for a node that restarts, and is made again when the connection broke, as all may be. */
  #command<T>(options: CallOptions, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#whileUp(options, async (signal) => {
      for (let isAgain = false; ; isAgain = true) {
        await this.#watch.ready(signal);
        try {
          return await this.#reported(() => this.#commands.run(signal, () => fn(signal)));
        } catch (cause) {
          if (isAgain || !isUnreachable(cause)) throw cause;
        }
      }
    });
  }

  async *#stream<T>(options: CallOptions, fn: (signal: AbortSignal) => AsyncGenerator<T>): AsyncGenerator<T> {
    this.#checkUp();
    using scope = mergeSignals(options.signal, this.#calls.stopping);
    await this.#watch.verified(scope.signal);
    const items = fn(scope.signal);
    try {
      for (;;) {
        const next = await this.#reported(() => items.next());
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await items.return(undefined);
    }
  }

  /** Has the failures of the RPC said in the words of the port. A node that did not answer is looked at. */
  async #reported<T>(fn: () => Promise<T>): Promise<T> {
    try {
      return await fn();
    } catch (cause) {
      const failure = await this.#failure(cause);
      if (failure instanceof ConnectorError && failure.kind === 'DISK_FULL') this.#condition.full(failure.message);
      throw failure;
    }
  }

  async #failure(cause: unknown): Promise<unknown> {
    const failure = connectorError(cause);
    if (!(cause instanceof RpcError) || !isUnreachable(failure)) return failure;
    await this.#watch.look();
    if (cause.kind === 'absent' || !this.#condition.isReachable) return failure;
    // It answers, and this one command is kept from us: to wait for the node would be to wait for ever.
    return new ConnectorError('FAILED', cause.message, { cause });
  }

  /** A call that ends, too, when the node is down. */
  async #whileUp<T>(options: CallOptions, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
    using scope = mergeSignals(options.signal, this.#condition.down);
    return await this.#calls.run(scope, fn);
  }

  #checkUp(): void {
    if (!this.#isRunning) throw new ConnectorError('UNREACHABLE', 'the IPFS connector is not running');
  }
}

/** What is no CID is no reason to fail. */
function hinted(updates: Uint8Array | undefined): CID | undefined {
  try {
    return updates && wishCid(updates);
  } catch {
    return undefined;
  }
}

function isUnreachable(failure: unknown): boolean {
  return failure instanceof ConnectorError && failure.kind === 'UNREACHABLE';
}
