import { create } from '@bufbuild/protobuf';
import type { CID } from 'multiformats/cid';
import { type GetBlocksRequest, GetBlocksRequestSchema } from '../../../gen/pinfold/peer/v1/blocks_pb.ts';
import { PinfoldError } from '../../model/errors.ts';
import type { PeerRpc } from '../../network/network.ts';
import { iterateUntil, mergeSignals, type ScopedSignal } from '../../runtime/abort.ts';
import type { Timer, Timers } from '../../runtime/clock.ts';
import { type Deferred, deferred } from '../../runtime/deferred.ts';
import { wrongAnswer } from '../status-rows.ts';
import type { BlockSource } from './block-source.ts';
import { BLOCKS_ASKED_MAX, SOURCE_IDLE_MS, SOURCE_STALL_MS } from './constants.ts';

export interface PeerBlocksInit {
  peerId: string;
  /** For people. */
  name: string;
  /** Ends what is under way, and what is asked later fails at once. */
  signal: AbortSignal;
}

export interface PeerBlocksNeeds {
  rpc: Pick<PeerRpc, 'call'>;
  timers: Timers;
}

/** Blocks of one other peer, by one call at a time, which is begun anew when it is needed again. */
export class PeerBlocks implements BlockSource {
  readonly name: string;
  readonly #init: PeerBlocksInit;
  readonly #needs: PeerBlocksNeeds;
  #call: BlocksCall | undefined;
  #failures = 0;

  constructor(init: PeerBlocksInit, needs: PeerBlocksNeeds) {
    this.name = init.name;
    this.#init = init;
    this.#needs = needs;
  }

  get failures(): number {
    return this.#failures;
  }

  get(cid: CID): Promise<Uint8Array | undefined> {
    if (!this.#call?.isOpen) this.#call = this.#begin();
    return this.#call.ask(cid.bytes);
  }

  #begin(): BlocksCall {
    return new BlocksCall(this.#init, this.#needs, (outcome) => {
      this.#failures = outcome === 'answered' ? 0 : this.#failures + 1;
    });
  }
}

interface Asked {
  cid: Uint8Array;
  answer: Deferred<Uint8Array | undefined>;
}

/** Answers come in the order of the questions, and many may be on their way. */
class BlocksCall {
  readonly #timers: Timers;
  readonly #scope: ScopedSignal;
  readonly #tell: (outcome: 'answered' | 'failed') => void;
  readonly #unsent: Asked[] = [];
  readonly #sent: Asked[] = [];
  #isOpen = true;
  #timer: Timer | undefined;
  #wake: Deferred<void> = deferred();

  constructor(
    { peerId, signal }: PeerBlocksInit,
    { rpc, timers }: PeerBlocksNeeds,
    tell: (outcome: 'answered' | 'failed') => void,
  ) {
    this.#timers = timers;
    this.#tell = tell;
    this.#scope = mergeSignals(signal);
    void this.#run(rpc, peerId);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  ask(cid: Uint8Array): Promise<Uint8Array | undefined> {
    const asked: Asked = { cid, answer: deferred() };
    const isFirst = this.#pending === 0;
    this.#unsent.push(asked);
    if (isFirst) this.#watch();
    this.#wake.resolve();
    return asked.answer.promise;
  }

  get #pending(): number {
    return this.#unsent.length + this.#sent.length;
  }

  async #run(rpc: Pick<PeerRpc, 'call'>, peerId: string): Promise<void> {
    const { signal } = this.#scope;
    let failure: unknown = wrongAnswer('fewer blocks than were asked for');
    try {
      const responses = rpc.call(peerId, 'getBlocks', this.#requests(), { signal });
      for await (const { data } of iterateUntil(responses, signal)) {
        const asked = this.#sent.shift();
        if (asked === undefined) throw wrongAnswer('more blocks than were asked for');
        this.#tell('answered');
        this.#watch();
        asked.answer.resolve(data);
      }
    } catch (cause) {
      failure = cause;
    }
    this.#end(failure);
  }

  #end(failure: unknown): void {
    this.#isOpen = false;
    this.#timer?.cancel();
    this.#wake.resolve();
    this.#scope[Symbol.dispose]();
    if (this.#pending > 0) this.#tell('failed');
    for (const { answer } of [...this.#sent.splice(0), ...this.#unsent.splice(0)]) answer.reject(failure);
  }

  async *#requests(): AsyncGenerator<GetBlocksRequest> {
    for (;;) {
      while (this.#unsent.length > 0) {
        const some = this.#unsent.splice(0, BLOCKS_ASKED_MAX);
        this.#sent.push(...some);
        yield create(GetBlocksRequestSchema, { cids: some.map(({ cid }) => cid as Uint8Array<ArrayBuffer>) });
      }
      if (!this.#isOpen) return;
      this.#wake = deferred();
      await this.#wake.promise;
    }
  }

  /** What is asked is to be answered in time; without anything to ask the call ends. */
  #watch(): void {
    this.#timer?.cancel();
    if (this.#pending > 0) {
      const late = new PinfoldError('DEADLINE', `no block came for ${SOURCE_STALL_MS} ms`);
      this.#timer = this.#timers.after(SOURCE_STALL_MS, () => this.#scope.abort(late));
    } else {
      this.#timer = this.#timers.after(SOURCE_IDLE_MS, () => {
        this.#isOpen = false;
        this.#wake.resolve();
      });
    }
  }
}
