import { raceSignal } from '../runtime/abort.ts';

/**
 * What a client sends, as a handler reads it. Leaving the loop neither waits for more nor closes the source: that is the door's, and the
 * answer may still have to go out the same way. An abort ends the reading with its reason; other failures of the source become what
 * `failureOf` makes of them.
 */
export function requestsUntil<T>(
  source: AsyncIterator<T>,
  signal: AbortSignal,
  failureOf: (cause: unknown) => unknown,
): AsyncIterable<T> {
  let isLeft = false;
  const iterator: AsyncIterator<T> = {
    async next() {
      if (isLeft) return { done: true, value: undefined };
      return raceSignal(source.next(), signal).catch((cause) => {
        throw signal.aborted ? signal.reason : failureOf(cause);
      });
    },
    async return() {
      isLeft = true;
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
