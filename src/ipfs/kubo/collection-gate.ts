import { deadlineSignal, mergeSignals, raceSignal, type ScopedSignal } from '../../runtime/abort.ts';
import type { Timers } from '../../runtime/clock.ts';
import { ConnectorError } from '../connector.ts';
import { Protections } from '../protections.ts';
import { STALL_TIMEOUT_MIN_MS } from './constants.ts';

const interrupted = new ConnectorError('FAILED', 'interrupted by a collection of garbage');

/**
 * Keeps pins and puts apart from the collections that we begin. Kubo collects under a lock that it waits for while a pin
 * is under way, and while it waits no other pin begins: so the pins are let end before it is asked at all, but for those that
 * have nothing yet, which may wait for their first block for ever. And what is put while it sweeps may be swept: so it is put afterwards.
 */
export class CollectionGate {
  readonly #timers: Timers;
  readonly #drainTimeoutMs: number;
  #inside = 0;
  /** Inside, and nothing is lost with them. */
  readonly #empty = new Set<ScopedSignal>();
  readonly #protections = new Protections(() => this.#change());
  #isClosed = false;
  #changed = Promise.withResolvers<void>();

  constructor(init: { drainTimeoutMs: number }, needs: { timers: Timers }) {
    this.#drainTimeoutMs = init.drainTimeoutMs;
    this.#timers = needs.timers;
  }

  /** Runs what a collection must not meet. Waits while one runs, or is about to. */
  async pass<T>(signal: AbortSignal, fn: () => Promise<T>): Promise<T> {
    await this.#until(() => !this.#isClosed, signal);
    this.#inside++;
    try {
      return await fn();
    } finally {
      this.#inside--;
      this.#change();
    }
  }

  /**
   * As `pass`. Until it says that it holds something, which a collection would take away, one that is about to begin interrupts it; it is run
   * anew when that is over.
   */
  async passAgain<T>(
    signal: AbortSignal,
    fn: (inside: { signal: AbortSignal; holds: () => void }) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      using scope = mergeSignals(signal);
      try {
        return await this.pass(signal, async () => {
          this.#empty.add(scope);
          return await fn({ signal: scope.signal, holds: () => this.#empty.delete(scope) });
        });
      } catch (cause) {
        if (scope.signal.reason !== interrupted) throw cause;
      } finally {
        this.#empty.delete(scope);
      }
    }
  }

  protect(): { release(): void } {
    return this.#protections.protect();
  }

  /** Resolves when nothing is protected and nobody is inside, and keeps it so until `open`. Rejects with FAILED. */
  async close(signal: AbortSignal): Promise<{ open(): void }> {
    if (this.#isClosed) throw new ConnectorError('FAILED', 'a garbage collection is already running');
    for (;;) {
      await this.#until(() => this.#protections.count === 0, signal);
      if (this.#isClosed) throw new ConnectorError('FAILED', 'a garbage collection is already running');
      this.#isClosed = true;
      try {
        await this.#drained(signal);
        if (this.#protections.count === 0) return { open: () => this.#open() };
      } catch (cause) {
        this.#open();
        throw cause;
      }
      // Something was protected meanwhile, and may need to put blocks before it is released.
      this.#open();
    }
  }

  async #drained(signal: AbortSignal): Promise<void> {
    const isDrained = () => this.#inside === 0 || this.#protections.count > 0;
    // Kubo tells of blocks twice a second: what has just begun may have some.
    using told = deadlineSignal(this.#timers, STALL_TIMEOUT_MIN_MS, signal);
    await this.#until(isDrained, told.signal).catch(() => signal.throwIfAborted());
    if (isDrained()) return;
    for (const scope of this.#empty) scope.abort(interrupted);
    using scope = deadlineSignal(this.#timers, this.#drainTimeoutMs, signal);
    try {
      await this.#until(isDrained, scope.signal);
    } catch (cause) {
      signal.throwIfAborted();
      const message = `Kubo collects only while no pin is under way, and ${this.#inside} that have blocks already did not end in time; try again later`;
      throw new ConnectorError('FAILED', message, { cause });
    }
  }

  #open(): void {
    this.#isClosed = false;
    this.#change();
  }

  async #until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (!condition()) await raceSignal(this.#changed.promise, signal);
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
