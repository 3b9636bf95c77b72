import { type Deferred, deferred } from './deferred.ts';

export interface BoundedQueueInit<T> {
  /** The most that may wait, in the unit of `sizeOf`. */
  limit: number;
  /** What an item counts for; 1 if not given. An item above the limit is taken when the queue is empty, so it is never stuck. */
  sizeOf?: (item: T) => number;
  /** Called with the size after each change, for a gauge. */
  onSize?: (size: number) => void;
}

/**
 * Passes items from writers to one reader, in order, with a limit. At the limit `push` waits and `offer` refuses.
 * Items in the queue when it is closed are still read; when it fails they are dropped.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #init: BoundedQueueInit<T>;
  readonly #items: T[] = [];
  /** Items before this place have been read; the array is cut now and then, for `shift` costs its length. */
  #head = 0;
  #size = 0;
  #ended: { failure?: unknown } | undefined;
  #reader: Deferred<void> | undefined;
  readonly #writers = new Set<Deferred<void>>();
  #isRead = false;

  constructor(init: BoundedQueueInit<T>) {
    this.#init = init;
  }

  /** What waits, in the unit of the limit. */
  get size(): number {
    return this.#size;
  }

  get isClosed(): boolean {
    return this.#ended !== undefined;
  }

  /** Takes the item if there is room; else, or when closed, changes nothing and says false. */
  offer(item: T): boolean {
    const size = this.#sizeOf(item);
    if (this.#ended !== undefined || !this.#hasRoom(size)) return false;
    this.#items.push(item);
    this.#resize(size);
    this.#reader?.resolve();
    return true;
  }

  /**
   * Waits for room. Resolves to false when the queue is closed, before or while waiting: the item is not taken. Rejects with
   * the signal's reason, the item not being taken either. Writers that wait at once may overtake each other.
   */
  async push(item: T, options: { signal?: AbortSignal } = {}): Promise<boolean> {
    options.signal?.throwIfAborted();
    while (!this.offer(item)) {
      if (this.#ended !== undefined) return false;
      await this.#waitForRoom(options.signal);
    }
    return true;
  }

  /** No more items. The reader ends after those that wait. Calling it again does nothing. */
  close(): void {
    this.#end({});
  }

  /** Drops what waits; the reader's next step rejects with `failure`. Does nothing when closed. */
  fail(failure: unknown): void {
    if (this.#ended !== undefined) return;
    this.#drop();
    this.#end({ failure });
  }

  /** For one reader, once. Leaving the loop closes the queue and drops what waits. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    if (this.#isRead) throw new Error('the queue already has a reader');
    this.#isRead = true;
    try {
      while (true) {
        while (this.#head < this.#items.length) yield this.#take();
        if (this.#ended !== undefined) break;
        this.#reader = deferred();
        await this.#reader.promise;
      }
      if ('failure' in this.#ended) throw this.#ended.failure;
    } finally {
      this.close();
      this.#drop();
    }
  }

  #take(): T {
    const item = this.#items[this.#head] as T;
    this.#head++;
    if (this.#head >= 1024 || this.#head === this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    this.#resize(-this.#sizeOf(item));
    this.#wakeWriters();
    return item;
  }

  #drop(): void {
    this.#items.length = 0;
    this.#head = 0;
    if (this.#size > 0) this.#resize(-this.#size);
  }

  #end(ended: { failure?: unknown }): void {
    if (this.#ended !== undefined) return;
    this.#ended = ended;
    this.#reader?.resolve();
    this.#wakeWriters();
  }

  #waitForRoom(signal: AbortSignal | undefined): Promise<void> {
    const waiting = deferred();
    const onAbort = () => waiting.reject(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#writers.add(waiting);
    return waiting.promise.finally(() => {
      signal?.removeEventListener('abort', onAbort);
      this.#writers.delete(waiting);
    });
  }

  #wakeWriters(): void {
    for (const writer of this.#writers) writer.resolve();
  }

  #hasRoom(size: number): boolean {
    return this.#size === 0 || this.#size + size <= this.#init.limit;
  }

  #sizeOf(item: T): number {
    return this.#init.sizeOf?.(item) ?? 1;
  }

  #resize(by: number): void {
    this.#size += by;
    this.#init.onSize?.(this.#size);
  }
}
