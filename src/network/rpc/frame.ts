/**
 * A stream between two peers carries calls one after another, as frames: one byte kind, four bytes length (big
 * endian), payload. Caller: HEAD, MESSAGE..., END. Callee: MESSAGE..., TRAILER, with ALIVE in between when it has
 * been silent. After END and TRAILER the stream is free for the next call. A reset at any time cancels the call.
 */
export const FRAME = { HEAD: 1, MESSAGE: 2, END: 3, TRAILER: 4, ALIVE: 5 } as const;
export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

export interface Frame {
  kind: FrameKind;
  payload: Uint8Array;
}

export const FRAME_HEADER_BYTES = 5;
export const NO_PAYLOAD = new Uint8Array(0);

/** What the other end sent is not this protocol, or breaks its limits. The stream cannot be used any more. */
export class FrameError extends Error {
  readonly reason: 'malformed' | 'truncated' | 'oversized' | 'silent' | 'slow_reader';

  constructor(reason: FrameError['reason'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'FrameError';
    this.reason = reason;
  }
}

/** One end of a stream of frames. One reader and one writer at a time. */
export interface FramePipe {
  /**
   * The next frame, or undefined when the other end closed between two frames. Rejects with a FrameError, or with the
   * reason of `abort`. A frame whose payload is larger than `payloadBytesMax` is refused before it is taken in.
   */
  read(payloadBytesMax: number): Promise<Frame | undefined>;
  /**
   * Sends the frames in one piece. Undefined: there is room for more. Otherwise wait; rejects when the pipe closes
   * first. Throws when it is closed. Payloads must not change afterwards.
   */
  write(frames: readonly Frame[]): Promise<void> | undefined;
  /** Nothing more will be written; ends cleanly. */
  close(): void;
  /** Resets both directions. Doing it again does nothing. */
  abort(reason: Error): void;
  readonly closed: boolean;
  /** Why it closed: the reason of `abort`, or the reset. Undefined when it ended cleanly, or has not. */
  readonly failure: Error | undefined;
  /** Calls back once when the pipe closes, at once if it has. Returns the unsubscriber. */
  onClose(listener: () => void): () => void;
}

export function encodeFrames(frames: readonly Frame[]): Uint8Array {
  const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + FRAME_HEADER_BYTES + frame.payload.length, 0));
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const { kind, payload } of frames) {
    bytes[offset] = kind;
    view.setUint32(offset + 1, payload.length);
    bytes.set(payload, offset + FRAME_HEADER_BYTES);
    offset += FRAME_HEADER_BYTES + payload.length;
  }
  return bytes;
}

/** Cuts a stream of bytes into frames. Keeps what was pushed until it is taken; the caller bounds that. */
export class FrameDecoder {
  #chunks: Uint8Array[] = [];
  #first = 0;
  #length = 0;

  /** Bytes pushed and not taken. */
  get length(): number {
    return this.#length;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The next frame in a buffer of its own; undefined when more bytes are needed. Throws a FrameError. */
  take(payloadBytesMax: number): Frame | undefined {
    if (this.#length < FRAME_HEADER_BYTES) return undefined;
    const header = this.#peek(FRAME_HEADER_BYTES);
    const kind = header[0] as number;
    if (kind < FRAME.HEAD || kind > FRAME.ALIVE) throw new FrameError('malformed', `no frame is of kind ${kind}`);
    const length = new DataView(header.buffer).getUint32(1);
    if (length > payloadBytesMax) {
      throw new FrameError('oversized', `a frame of ${length} bytes, at most ${payloadBytesMax} are allowed`);
    }
    if (this.#length < FRAME_HEADER_BYTES + length) return undefined;
    this.#drop(FRAME_HEADER_BYTES);
    const payload = this.#peek(length);
    this.#drop(length);
    return { kind: kind as FrameKind, payload };
  }

  #peek(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let filled = 0;
    let skip = this.#first;
    for (let i = 0; filled < length; i++) {
      const chunk = this.#chunks[i] as Uint8Array;
      const part = chunk.subarray(skip, skip + length - filled);
      bytes.set(part, filled);
      filled += part.length;
      skip = 0;
    }
    return bytes;
  }

  #drop(length: number): void {
    this.#length -= length;
    let offset = this.#first + length;
    let whole = 0;
    while (whole < this.#chunks.length && offset >= (this.#chunks[whole] as Uint8Array).length) {
      offset -= (this.#chunks[whole] as Uint8Array).length;
      whole++;
    }
    if (whole > 0) this.#chunks.splice(0, whole);
    this.#first = offset;
  }
}
