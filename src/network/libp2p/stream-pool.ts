import type { Clock, Timer, Timers } from '../../runtime/clock.ts';
import { RPC_IDLE_STREAM_MS, RPC_IDLE_STREAMS_PER_PEER_MAX } from '../constants.ts';
import type { FramePipe } from '../rpc/frame.ts';

interface IdlePipe {
  pipe: FramePipe;
  sinceMs: number;
}

/** Streams to peers that no call is using, the last used first. */
export class StreamPool {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #idle = new Map<string, IdlePipe[]>();
  #sweeping: Timer | undefined;

  constructor({ clock, timers }: { clock: Clock; timers: Timers }) {
    this.#clock = clock;
    this.#timers = timers;
  }

  take(peerId: string): FramePipe | undefined {
    const idle = this.#idle.get(peerId);
    for (let next = idle?.pop(); next !== undefined; next = idle?.pop()) {
      if (!next.pipe.closed) return next.pipe;
    }
    this.#idle.delete(peerId);
    return undefined;
  }

  put(peerId: string, pipe: FramePipe): void {
    const idle = this.#idle.get(peerId) ?? [];
    if (idle.length >= RPC_IDLE_STREAMS_PER_PEER_MAX) {
      pipe.close();
      return;
    }
    idle.push({ pipe, sinceMs: this.#clock.monotonicMs() });
    this.#idle.set(peerId, idle);
    this.#sweeping ??= this.#timers.after(RPC_IDLE_STREAM_MS / 2, () => this.#sweep());
  }

  /** Resets what is left. */
  clear(reason: Error): void {
    this.#sweeping?.cancel();
    for (const idle of this.#idle.values()) for (const { pipe } of idle) pipe.abort(reason);
    this.#idle.clear();
  }

  #sweep(): void {
    this.#sweeping = undefined;
    const oldestMs = this.#clock.monotonicMs() - RPC_IDLE_STREAM_MS;
    for (const [peerId, idle] of this.#idle) {
      const kept = idle.filter(({ pipe, sinceMs }) => !pipe.closed && sinceMs > oldestMs);
      for (const entry of idle) if (!kept.includes(entry)) entry.pipe.close();
      if (kept.length > 0) this.#idle.set(peerId, kept);
      else this.#idle.delete(peerId);
    }
    if (this.#idle.size > 0) this.#sweeping = this.#timers.after(RPC_IDLE_STREAM_MS / 2, () => this.#sweep());
  }
}
