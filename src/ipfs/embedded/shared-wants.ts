import type { CID } from 'multiformats/cid';
import { byteString } from '../../model/bytes.ts';
import type { CallOptions } from '../connector.ts';
import { unlessAborted } from '../turns.ts';

interface SharedWant {
  users: number;
  /** Aborts when nobody wants it any more. */
  controller: AbortController;
  /** Cuts the present attempt short, so that the next begins. */
  again: AbortController;
  got: PromiseWithResolvers<Uint8Array>;
}

export interface SharedWantsNeeds {
  /** One attempt to get a block. Rejects by abort or because what came was no good. */
  attempt(cid: CID, options: CallOptions): Promise<Uint8Array>;
  /** Between two attempts. */
  pause(options: CallOptions): Promise<void>;
}

/**
 * One want for each multihash, however many wait for it: Helia's bitswap keeps one entry for all, and one that
 * gives up would take it from the others.
 */
export class SharedWants {
  readonly #wants = new Map<string, SharedWant>();
  readonly #needs: SharedWantsNeeds;

  constructor(needs: SharedWantsNeeds) {
    this.#needs = needs;
  }

  async want(cid: CID, options: CallOptions): Promise<Uint8Array> {
    options.signal.throwIfAborted();
    const key = byteString(cid.multihash.bytes);
    const want = this.#wants.get(key) ?? this.#begin(key, cid);
    want.users++;
    try {
      return await unlessAborted(want.got.promise, options.signal);
    } finally {
      want.users--;
      if (want.users === 0) this.#end(key, want);
    }
  }

  have(cid: CID, bytes: Uint8Array): void {
    this.#wants.get(byteString(cid.multihash.bytes))?.got.resolve(bytes);
  }

  reask(): void {
    for (const want of this.#wants.values()) want.again.abort(new Error('asked again'));
  }

  #begin(key: string, cid: CID): SharedWant {
    const want: SharedWant = {
      users: 0,
      controller: new AbortController(),
      again: new AbortController(),
      got: Promise.withResolvers(),
    };
    // Rejected only when nobody listens any more.
    want.got.promise.catch(() => {});
    this.#wants.set(key, want);
    this.#fetch(cid, want).then(want.got.resolve, want.got.reject);
    return want;
  }

  #end(key: string, want: SharedWant): void {
    if (this.#wants.get(key) === want) this.#wants.delete(key);
    want.controller.abort(new Error('nobody wants it any more'));
  }

  async #fetch(cid: CID, want: SharedWant): Promise<Uint8Array> {
    const options = { signal: want.controller.signal };
    for (;;) {
      want.again = new AbortController();
      try {
        return await this.#needs.attempt(cid, { signal: AbortSignal.any([options.signal, want.again.signal]) });
      } catch {
        // What the attempt met is not ours to tell: the pin's stall watch speaks when nothing comes.
        options.signal.throwIfAborted();
      }
      await this.#needs.pause(options);
    }
  }
}
