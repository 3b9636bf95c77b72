import type { Stream, StreamMessageEvent } from '@libp2p/interface';
import { READ_BUFFER_BYTES_MAX } from '../constants.ts';
import type { Frame, FramePipe } from '../rpc/frame.ts';
import { encodeFrames, FrameDecoder, FrameError } from '../rpc/frame.ts';

/**
 * Frames over a libp2p stream. The stream is paused while more than READ_BUFFER_BYTES_MAX are unread, so that its window runs
 * empty and the sender waits.
 */
export class StreamPipe implements FramePipe {
  readonly #stream: Stream;
  readonly #decoder = new FrameDecoder();
  readonly #closeListeners = new Set<() => void>();
  #reader: { payloadBytesMax: number; resolve(frame: Frame | undefined): void; reject(error: Error): void } | undefined;
  #drain: PromiseWithResolvers<void> | undefined;
  /** The other end will send nothing more. */
  #ended = false;
  #isResuming = false;
  #closed = false;
  failure: Error | undefined;

  constructor(stream: Stream) {
    this.#stream = stream;
    stream.addEventListener('message', (event) => this.#onMessage(event));
    stream.addEventListener('end', () => this.#onEnd());
    stream.addEventListener('close', (event) => this.#onClose(event.error));
    stream.addEventListener('drain', () => this.#onDrain());
    if (stream.readableEnded) this.#onEnd();
    if (stream.status !== 'open' && stream.status !== 'closing') this.#onClose(undefined);
  }

  get closed(): boolean {
    return this.#closed;
  }

  read(payloadBytesMax: number): Promise<Frame | undefined> {
    if (this.#reader !== undefined) throw new Error('a pipe has one reader at a time');
    return new Promise((resolve, reject) => {
      this.#reader = { payloadBytesMax, resolve, reject };
      this.#serveReader();
    });
  }

  write(frames: readonly Frame[]): Promise<void> | undefined {
    if (this.#closed) throw this.failure ?? new Error('the stream is closed');
    this.#stream.send(encodeFrames(frames));
    if (!this.#stream.writableNeedsDrain) return undefined;
    this.#drain ??= Promise.withResolvers();
    return this.#drain.promise;
  }

  close(): void {
    this.#stream.close().catch((error: unknown) => this.abort(new Error('the stream did not close', { cause: error })));
  }

  abort(reason: Error): void {
    if (this.#closed) return;
    this.failure = reason;
    this.#stream.abort(reason);
    this.#onClose(reason);
  }

  onClose(listener: () => void): () => void {
    if (this.#closed) {
      listener();
      return () => {};
    }
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  #onMessage({ data }: StreamMessageEvent): void {
    if (data instanceof Uint8Array) this.#decoder.push(data);
    else for (const chunk of data) this.#decoder.push(chunk);
    this.#serveReader();
    if (!this.#isResuming) this.#pauseIfFull();
  }

  #pauseIfFull(): void {
    if (this.#decoder.length > READ_BUFFER_BYTES_MAX && this.#reader === undefined) this.#pause();
  }

  #serveReader(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    try {
      if (this.failure !== undefined) throw this.failure;
      const frame = this.#decoder.take(reader.payloadBytesMax);
      if (frame !== undefined) this.#settle(() => reader.resolve(frame));
      else if (this.#ended) this.#settleAtEnd(reader);
      // A frame may be larger than the bound on what lies unread.
      else this.#resume();
    } catch (error) {
      this.#settle(() => reader.reject(error as Error));
    }
  }

  #settleAtEnd(reader: { resolve(frame: undefined): void; reject(error: Error): void }): void {
    if (this.#decoder.length === 0) this.#settle(() => reader.resolve(undefined));
    else this.#settle(() => reader.reject(new FrameError('truncated', 'the stream ended within a frame')));
  }

  #settle(settle: () => void): void {
    this.#reader = undefined;
    settle();
  }

  #pause(): void {
    if (this.#stream.readStatus === 'readable') this.#stream.pause();
  }

  #resume(): void {
    if (this.#stream.readStatus !== 'paused') return;
    // It dispatches what has gathered and only then opens the window, even if a listener has paused it meanwhile: the sender would never
    // be stopped again, and libp2p resets a stream whose read buffer overflows.
    this.#isResuming = true;
    try {
      this.#stream.resume();
    } finally {
      this.#isResuming = false;
    }
    this.#pauseIfFull();
  }

  #onDrain(): void {
    // libp2p's own listener takes up sending in a microtask and may find the window full again.
    setMicrotask(() => {
      if (this.#stream.writableNeedsDrain || this.#drain === undefined) return;
      this.#drain.resolve();
      this.#drain = undefined;
    });
  }

  #onEnd(): void {
    this.#ended = true;
    this.#serveReader();
  }

  #onClose(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ended = true;
    this.failure ??= error;
    const gone = this.failure ?? new Error('the stream was closed');
    this.#drain?.promise.catch(() => {});
    this.#drain?.reject(gone);
    this.#serveReader();
    for (const listener of this.#closeListeners) listener();
    this.#closeListeners.clear();
  }
}

function setMicrotask(fn: () => void): void {
  queueMicrotask(() => queueMicrotask(fn));
}
