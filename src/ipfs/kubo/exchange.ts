import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { UNTAKEN_BYTES_MAX } from './constants.ts';

export interface AnswerHead {
  status: number;
  headers: IncomingHttpHeaders;
}

/**
 * One request to undici and its answer. The answer is taken piece by piece; while much of it lies here untaken, the sender is
 * held back. What the connection tells before it fails is still taken; what we give up is given up at once.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  #controller: Dispatcher.DispatchController | undefined;
  #head: AnswerHead | undefined;
  readonly #chunks: Uint8Array[] = [];
  #untakenBytes = 0;
  #trailers: IncomingHttpHeaders | undefined;
  #failure: { cause: unknown } | undefined;
  #changed: (() => void) | undefined;

  readonly #onFailure: (failure: Error) => void;

  /** `onFailure`: hears what the connection failed of. */
  constructor(onFailure: (failure: Error) => void) {
    this.#onFailure = onFailure;
  }

  /** It had a connection, so the other side may have seen it. */
  get isSent(): boolean {
    return this.#controller !== undefined;
  }

  get isBegun(): boolean {
    return this.#head !== undefined;
  }

  /** Of an answer that came to its end; undefined before. */
  get trailers(): IncomingHttpHeaders | undefined {
    return this.#trailers;
  }

  /** Resolves when the answer begins. Rejects with what the connection failed of, or the reason of `giveUp`. */
  async head(): Promise<AnswerHead> {
    for (;;) {
      if (this.#head !== undefined) return this.#head;
      await this.#change();
    }
  }

  /** Whether `chunk` would have something to say at once. */
  get isReady(): boolean {
    return this.#chunks.length > 0 || this.#trailers !== undefined || this.#failure !== undefined;
  }

  /** The next piece of the answer; undefined after a whole one. Rejects as `head` does. */
  async chunk(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#untakenBytes -= chunk.length;
        if (this.#untakenBytes < UNTAKEN_BYTES_MAX) this.#controller?.resume();
        return chunk;
      }
      if (this.#trailers !== undefined) return undefined;
      await this.#change();
    }
  }

  /** Ends it from our side, and its connection with it. Does nothing after its end. */
  giveUp(cause: unknown): void {
    if (this.#trailers !== undefined || this.#failure !== undefined) return;
    this.#failure = { cause };
    this.#chunks.length = 0;
    this.#controller?.abort(new Error('given up'));
    this.#tell();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // It may have been given up while it waited for a connection.
    if (this.#failure !== undefined) controller.abort(new Error('given up'));
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // What is below is said in advance: the answer itself is to come.
    if (status < 200) return;
    this.#head = { status, headers };
    this.#tell();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    // With nothing in it undici goes on after a pause.
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#untakenBytes += chunk.length;
    if (this.#untakenBytes >= UNTAKEN_BYTES_MAX) controller.pause();
    this.#tell();
  }

  onResponseEnd(_: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    this.#trailers = trailers;
    this.#tell();
  }

  onResponseError(_: Dispatcher.DispatchController, cause: Error): void {
    this.#onFailure(cause);
    this.#failure ??= { cause };
    this.#tell();
  }

  async #change(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.cause;
    await new Promise<void>((resolve) => {
      this.#changed = resolve;
    });
  }

  #tell(): void {
    this.#changed?.();
    this.#changed = undefined;
  }
}
