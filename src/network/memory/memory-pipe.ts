import { READ_BUFFER_BYTES_MAX } from '../constants.ts';
import type { Frame, FramePipe } from '../rpc/frame.ts';
import { FrameError } from '../rpc/frame.ts';

/** Runs `fn` at the other end of a link, later and in order. What is under way when the link is cut is lost. */
export type Deliver = (fn: () => void) => void;

interface Reader {
  payloadBytesMax: number;
  resolve(frame: Frame | undefined): void;
  reject(error: Error): void;
}

/** Two ends of a stream of frames, with the same bound on what lies unread as over libp2p. */
export function memoryPipes(there: Deliver, back: Deliver): [MemoryPipe, MemoryPipe] {
  const near = new MemoryPipe(there);
  const far = new MemoryPipe(back);
  near.join(far);
  far.join(near);
  return [near, far];
}

export class MemoryPipe implements FramePipe {
  readonly #deliver: Deliver;
  readonly #incoming: Frame[] = [];
  readonly #closeListeners = new Set<() => void>();
  #other: MemoryPipe | undefined;
  #unreadBytes = 0;
  #room: PromiseWithResolvers<void> | undefined;
  #reader: Reader | undefined;
  #ended = false;
  failure: Error | undefined;
  closed = false;

  constructor(deliver: Deliver) {
    this.#deliver = deliver;
  }

  join(other: MemoryPipe): void {
    this.#other = other;
  }

  read(payloadBytesMax: number): Promise<Frame | undefined> {
    if (this.#reader !== undefined) throw new Error('a pipe has one reader at a time');
    return new Promise((resolve, reject) => {
      this.#reader = { payloadBytesMax, resolve, reject };
      this.#serveReader();
    });
  }

  write(frames: readonly Frame[]): Promise<void> | undefined {
    if (this.closed) throw this.failure ?? new Error('the stream is closed');
    const copies = frames.map(({ kind, payload }) => ({ kind, payload: payload.slice() }));
    this.#unreadBytes += copies.reduce((sum, { payload }) => sum + payload.length, 0);
    this.#deliver(() => this.#other?.receive(copies));
    if (this.#unreadBytes <= READ_BUFFER_BYTES_MAX) return undefined;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  close(): void {
    if (this.closed) return;
    this.#deliver(() => this.#other?.end());
    this.#shut();
  }

  abort(reason: Error): void {
    if (this.closed) return;
    this.#deliver(() => this.#other?.cut(new Error('the stream was reset')));
    this.cut(reason);
  }

  onClose(listener: () => void): () => void {
    if (this.closed) {
      listener();
      return () => {};
    }
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  receive(frames: readonly Frame[]): void {
    if (this.closed) return;
    this.#incoming.push(...frames);
    this.#serveReader();
  }

  end(): void {
    this.#ended = true;
    this.#serveReader();
  }

  /** Ends this side at once, as a reset or a lost connection does. */
  cut(reason: Error): void {
    if (this.closed) return;
    this.failure = reason;
    this.#incoming.length = 0;
    this.#shut();
  }

  /** The other side has read so much. */
  taken(bytes: number): void {
    this.#unreadBytes -= bytes;
    if (this.#unreadBytes > READ_BUFFER_BYTES_MAX) return;
    this.#room?.resolve();
    this.#room = undefined;
  }

  #serveReader(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    const frame = this.#incoming[0];
    if (this.failure !== undefined) this.#settle(() => reader.reject(this.failure as Error));
    else if (frame === undefined && this.#ended) this.#settle(() => reader.resolve(undefined));
    else if (frame !== undefined) this.#take(reader, frame);
  }

  #take(reader: Reader, frame: Frame): void {
    const { length } = frame.payload;
    if (length > reader.payloadBytesMax) {
      const error = new FrameError('oversized', `a frame of ${length} bytes, at most ${reader.payloadBytesMax}`);
      this.#settle(() => reader.reject(error));
      return;
    }
    this.#incoming.shift();
    this.#deliver(() => this.#other?.taken(length));
    this.#settle(() => reader.resolve(frame));
  }

  #settle(settle: () => void): void {
    this.#reader = undefined;
    settle();
  }

  #shut(): void {
    this.closed = true;
    this.#ended = true;
    this.#room?.promise.catch(() => {});
    this.#room?.reject(this.failure ?? new Error('the stream was closed'));
    this.#serveReader();
    for (const listener of this.#closeListeners) listener();
    this.#closeListeners.clear();
  }
}
